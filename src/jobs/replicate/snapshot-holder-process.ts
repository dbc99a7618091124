/** The process that holds a snapshot; see snapshot-holder.ts. */

import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { parseDatabaseUrl } from '../../config/database-url.ts';
import { openSession } from '../../databases/postgres/open-session.ts';
import { messageOf } from '../../errors.ts';
import { isJobLocked } from './job-lock.ts';
import { snapshotUnderLocks } from './snapshot.ts';
import { type HolderTask, holderName } from './snapshot-holder.ts';

const LOOK_MS = 2_000;

// Whoever started this may be gone, and its end of the pipe.
process.stdout.on('error', () => undefined);

try {
  await hold(JSON.parse(await text(process.stdin)) as HolderTask);
} catch (error) {
  process.stdout.write(`${messageOf(error)}\n`);
}

async function hold({ from, snapshot, slot, tables, keepMs }: HolderTask): Promise<void> {
  const { connection, name } = parseDatabaseUrl(from, process.env);
  const doing = { action: `hold the snapshot of ${name}`, database: name, user: connection.user };
  await using session = await openSession(connection, { doing });
  const { client } = session;
  const ended = new AbortController();
  client.on('end', () => ended.abort());
  await client.query(`SET application_name = '${holderName(slot)}'`);
  const held = await snapshotUnderLocks(session, snapshot, tables);
  process.stdout.write(`held ${held}\n`);
  for (let lastMs = performance.now(); performance.now() - lastMs < keepMs && !ended.signal.aborted; ) {
    if (await isJobLocked(client, slot)) lastMs = performance.now();
    await wait(Math.min(LOOK_MS, keepMs), undefined, { signal: ended.signal }).catch(() => undefined);
  }
}
