/** Runs what comes behind the rows of a dump over several sessions. */

import type pg from 'pg';
import { type Doing, postgresError } from './errors.ts';
import { inTheWay, type LaterStep, type LaterWork } from './post-data.ts';

/**
 * One step after the other, what may run together on as many sessions as there are, the largest tables first.
 * @param bytes of tables, as `post-data.ts` names them
 * @throws the first error; what runs at that moment is waited for
 */
export async function runLater(
  clients: readonly pg.Client[],
  steps: readonly LaterStep[],
  bytes: ReadonlyMap<string, number>,
  doing: Doing,
  signal: AbortSignal,
): Promise<void> {
  const run = async (client: pg.Client, text: string): Promise<void> => {
    signal.throwIfAborted();
    try {
      await client.query(text);
    } catch (error) {
      signal.throwIfAborted();
      throw postgresError(error, { ...doing, action: `${doing.action}, with ${beginOf(text)}` });
    }
  };
  const size = ({ tables }: LaterWork): number =>
    tables.reduce((sum, table) => sum + (bytes.get(table) ?? 0), 0);
  for (const step of steps) {
    if (step.kind === 'single') await run(clients[0]!, step.text);
    else if (step.kind === 'setting') for (const client of clients) await run(client, step.text);
    else {
      const free = [...clients];
      const largestFirst = step.work.toSorted((one, other) => size(other) - size(one));
      await runOutOfTheWay(largestFirst, clients.length, async ({ texts }) => {
        const client = free.pop()!;
        for (const text of texts) await run(client, text);
        free.push(client);
      });
    }
  }
}

const SHOWN_CHARACTERS = 100;

function beginOf(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, SHOWN_CHARACTERS);
}

/** So many at the same time, the first of those that nothing is in the way of. */
async function runOutOfTheWay(
  work: readonly LaterWork[],
  limit: number,
  run: (work: LaterWork) => Promise<void>,
): Promise<void> {
  const waiting = [...work];
  const running = new Map<LaterWork, Promise<void>>();
  let failed: { readonly error: unknown } | undefined;
  for (;;) {
    while (failed === undefined && running.size < limit) {
      const next = waiting.findIndex((one) => [...running.keys()].every((other) => !inTheWay(one, other)));
      if (next < 0) break;
      const [one] = waiting.splice(next, 1) as [LaterWork];
      const ended = run(one)
        .catch((error: unknown) => {
          failed ??= { error };
        })
        .finally(() => running.delete(one));
      running.set(one, ended);
    }
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
  if (failed !== undefined) throw (failed as { readonly error: unknown }).error;
}
