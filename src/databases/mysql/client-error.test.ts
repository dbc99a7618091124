import { expect, it } from 'vitest';
import { clientError } from './client-error.ts';

it('keeps number and line, and leaves statement and values out', () => {
  const said = `--------------
INSERT INTO t VALUES (1,'secret value')
--------------

ERROR 1062 (23000) at line 47: Duplicate entry 'secret value' for key 'PRIMARY'`;
  expect(clientError(said)).toEqual({
    message: "ERROR 1062 (23000) at line 47: Duplicate entry for key 'PRIMARY'",
    hint: undefined,
  });
});

it.each([
  ["ERROR 1146 (42S02) at line 3: Table 'a.b' doesn't exist", undefined],
  [
    'ERROR 1227 (42000) at line 9: Access denied; you need (at least one of) the SUPER privilege(s)',
    /definer/,
  ],
  ['ERROR 2006 (HY000) at line 12: MySQL server has gone away', /max_allowed_packet/],
])('says %s', (said, hint) => {
  const error = clientError(`warning\n${said}\n`);
  expect(error?.message).toBe(said);
  if (hint === undefined) expect(error?.hint).toBeUndefined();
  else expect(error?.hint).toMatch(hint);
});

it('knows nothing where the client named no error', () => {
  expect(clientError('mysql: unknown variable')).toBeUndefined();
});
