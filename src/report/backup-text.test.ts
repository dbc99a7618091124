import { expect, test } from 'vitest';
import { backupResultText, drillText } from './backup-text.ts';

const DRILLED = {
  at: '2026-11-20T03:00:00Z',
  ok: true,
  recoveryMs: 1_400,
  problems: [],
  key: '2026-11-20/datadump1.sql',
  server: 'PostgreSQL 15.20',
  assertions: 1,
};

test('what nobody counted is not said to be as it was', () => {
  const counted = drillText({ ...DRILLED, compared: true, tables: 2, rows: 30 });
  expect(counted).toContain('2 tables with 30 rows as the backup held them, 1 assertion');
  const uncounted = drillText({ ...DRILLED, compared: false, tables: 0, rows: 0 });
  expect(uncounted).toContain('what it held nobody counted, 1 assertion');
  expect(uncounted).not.toContain('0 tables');
});

test('a shipped file is named as the list names it', () => {
  const shipped = [{ key: 'shop/2026-11-20/datadump1.sql', bytes: 3, sha256: 'ab' }];
  const text = (to: string) =>
    backupResultText({ kind: 'shipped', to, watched: { shipped, left: undefined } });
  expect(text('s3://backups/shop/')).toBe(
    '2026-11-20/datadump1.sql: 3 bytes are in s3://backups/shop/, and proven',
  );
});
