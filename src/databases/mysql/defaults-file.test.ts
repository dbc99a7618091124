import { expect, it } from 'vitest';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { defaultsFileText } from './defaults-file.ts';

const MARIADB = { name: 'mariadb', path: '/x', version: '11.4.2', product: 'MariaDB' } as const;
const MYSQL = { name: 'mysql', path: '/x', version: '8.4.3', product: 'MySQL' } as const;
const lines = (url: string, client: typeof MARIADB | typeof MYSQL, ignored: string[] = []) =>
  defaultsFileText(parseDatabaseUrl(url, {}).connection, client, ignored).split('\n');

it('writes user, password and place so that nothing in them is read as something else', () => {
  const password = `'"$\`!;:@/%#& >\\n\né漢`;
  const text = lines(`mysql://a%23b:${encodeURIComponent(password)}@[::1]:3307/shop`, MARIADB);
  expect(text.slice(0, 6)).toEqual([
    '[client]',
    'protocol="tcp"',
    'host="::1"',
    'port="3307"',
    'user="a#b"',
    `password="'\\"$\`!;:@/%#& >\\\\n\\né漢"`,
  ]);
  expect(lines('mysql://u@h/s?socket=/run/my%20sql.sock', MYSQL)).toEqual(
    expect.arrayContaining(['protocol="socket"', 'socket="/run/my sql.sock"', 'password=""']),
  );
  expect(lines('mysql://u@h/s', MYSQL, ['odd "view"'])).toContain('ignore-table="s.odd \\"view\\""');
});

it.each([
  ['disable', ['skip-ssl'], ['ssl-mode="DISABLED"']],
  ['prefer', ['ssl', 'skip-ssl-verify-server-cert'], ['ssl-mode="PREFERRED"']],
  ['require', ['ssl', 'skip-ssl-verify-server-cert'], ['ssl-mode="REQUIRED"']],
  [
    'verify-ca',
    ['ssl', 'ssl-verify-server-cert', 'ssl-ca="/ca.pem"'],
    ['ssl-mode="VERIFY_CA"', 'ssl-ca="/ca.pem"'],
  ],
  [
    'verify-full',
    ['ssl', 'ssl-verify-server-cert', 'ssl-ca="/ca.pem"'],
    ['ssl-mode="VERIFY_IDENTITY"', 'ssl-ca="/ca.pem"'],
  ],
])('encrypts as sslmode=%s says', (mode, mariadb, mysql) => {
  const ca = mode.startsWith('verify') ? '&sslrootcert=/ca.pem' : '';
  const tls = (client: typeof MARIADB | typeof MYSQL) =>
    lines(`mysql://u:p@h/s?sslmode=${mode}${ca}`, client).filter((line) => line.includes('ssl'));
  expect(tls(MARIADB)).toEqual(mariadb);
  expect(tls(MYSQL)).toEqual(mysql);
});
