import { expect, test } from 'vitest';
import { mariadbAvailable, mariadbServer } from '../../test/servers/mariadb.ts';
import { parseDatabaseUrl } from '../config/database-url.ts';
import { Secret } from '../config/secret.ts';
import { proveLogin } from './prove-login.ts';

test.runIf(mariadbAvailable())(
  'the right password is proven, a wrong one denied, and a server that is gone is unreachable',
  async () => {
    await using server = await mariadbServer();
    const database = await server.createDatabase();
    const url = parseDatabaseUrl(database.url, {});
    await proveLogin(url);
    const wrong = {
      ...url,
      connection: { ...url.connection, user: 'nobody', password: new Secret('wrong') },
    };
    await expect(proveLogin(wrong)).rejects.toMatchObject({ code: 'DATABASE_DENIED' });
    const gone = { ...url, connection: { ...url.connection, host: '127.0.0.1', port: 1 } };
    await expect(proveLogin(gone)).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' });
  },
);
