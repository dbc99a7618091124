/** Connections that read under one snapshot, each with the tables locked. */

import type { Session } from '../../../databases/postgres/open-session.ts';
import { beginUnderSnapshot } from '../../../databases/postgres/replication-setup.ts';
import { type HeldSnapshot, lockTables } from '../snapshot.ts';
import type { Sides } from './sides.ts';

export class Readers implements AsyncDisposable {
  readonly #free: Session[];
  readonly #stack: AsyncDisposableStack;

  private constructor(sessions: readonly Session[], stack: AsyncDisposableStack) {
    this.#free = [...sessions];
    this.#stack = stack;
  }

  /**
   * Who wants to change a table waits for those that have locked it, and makes everybody else wait behind him; so all lock
   * at once, the session that holds the snapshot too.
   * @throws DATABASE_CONFLICT where a table was truncated or rewritten since the snapshot was taken
   */
  static async open(sides: Sides, held: HeldSnapshot, count: number): Promise<Readers> {
    await using stack = new AsyncDisposableStack();
    const sessions: Session[] = [];
    await sides.within('source', 'lock its tables', async () => {
      for (let i = 0; i < count; i++) {
        const session = stack.use(await sides.openSource('read rows'));
        await beginUnderSnapshot(session.client, held.name);
        sessions.push(session);
      }
      await Promise.all([held.lock(), ...sessions.map(({ client }) => lockTables(client, held.tables))]);
    });
    return new Readers(sessions, stack.move());
  }

  /** There are as many as workers, so that one is free for each. */
  take(): Session {
    return this.#free.pop()!;
  }

  give(session: Session): void {
    this.#free.push(session);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
