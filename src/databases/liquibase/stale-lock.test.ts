import { expect, test } from 'vitest';
import { type LockWitness, runToken, whyStale } from './stale-lock.ts';

const HOUR_MS = 3_600_000;
const GRANTED = '2026-03-01 12:00:00.123';
const GRANTED_MS = Date.parse('2026-03-01T12:00:00.123Z');
const NOBODY: LockWitness = {
  sessionNames: [],
  sessions: 0,
  busy: false,
  host: 'here',
  processes: ['/sbin/init'],
  madeAtMs: undefined,
};
const UNNAMED = { ...NOBODY, sessionNames: undefined };
const TOKEN = runToken('elsewhere', 'ab12');
const OURS = `10.0.0.1#${TOKEN} (10.0.0.1)`;
const HERE_TOKEN = runToken('here', 'ab12');
const HERE = `fd00:0:0:0:0:0:0:2%eth0#${HERE_TOKEN} (fd00:0:0:0:0:0:0:2%eth0)`;

test.each<[string, string, Partial<LockWitness>, boolean]>([
  ['our run, its session is there', OURS, { sessionNames: [TOKEN], sessions: 1 }, false],
  ['our run, other sessions are there', OURS, { sessionNames: ['app', 'longshore-cd'], sessions: 2 }, true],
  ['our run, sessions have no names, none is there', OURS, { ...UNNAMED }, true],
  ['our run of another machine, sessions not all seen', OURS, { ...UNNAMED, sessions: undefined }, false],
  ['our run of another machine, an application is there', OURS, { ...UNNAMED, sessions: 3 }, false],
  ['our run of this machine, gone', HERE, { ...UNNAMED, sessions: 3 }, true],
  [
    'our run of this machine, its process is there',
    HERE,
    { ...UNNAMED, sessions: 3, processes: [`java -Dliquibase.hostDescription=${HERE_TOKEN}`] },
    false,
  ],
  [
    'our run of this machine, gone, its statement still runs',
    HERE,
    { ...UNNAMED, sessions: 3, busy: true },
    false,
  ],
  ['another machine', 'elsewhere (10.0.0.1)', {}, false],
  ['this machine, nothing of it left', 'here.example.test (10.0.0.1)', {}, true],
  ['this machine, Liquibase runs', 'here (::1)', { processes: ['java -jar liquibase.jar update'] }, false],
  ['this machine, processes not known', 'here (::1)', { processes: undefined }, false],
  ['this machine, somebody is connected', 'here (::1)', { sessions: 1 }, false],
  ['nobody said who', '', {}, false],
  ['long before it was made', 'e (1)', { madeAtMs: GRANTED_MS + 13 * HOUR_MS, sessions: 5 }, true],
  ['perhaps before, somebody is connected', 'e (1)', { madeAtMs: GRANTED_MS + HOUR_MS, sessions: 1 }, false],
  ['perhaps before, nobody is connected', 'e (1)', { madeAtMs: GRANTED_MS + HOUR_MS }, true],
  ['after it was made', 'e (1)', { madeAtMs: GRANTED_MS - 15 * HOUR_MS }, false],
])('%s', (_, lockedBy, witness, stale) => {
  expect(whyStale({ lockedBy, grantedAt: GRANTED }, { ...NOBODY, ...witness }) !== undefined).toBe(stale);
});
