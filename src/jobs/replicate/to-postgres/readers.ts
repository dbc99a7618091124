/** Connections that read under one snapshot, each with the tables locked. */

import { lockTables } from '../../../databases/postgres/lock-tables.ts';
import type { Session } from '../../../databases/postgres/open-session.ts';
import { beginUnderSnapshot } from '../../../databases/postgres/replication-setup.ts';
import type { HeldSnapshot } from '../snapshot.ts';
import type { Sides } from './sides.ts';

export class Readers implements AsyncDisposable {
  readonly #free: Session[];
  readonly #stack: AsyncDisposableStack;

  private constructor(sessions: readonly Session[], stack: AsyncDisposableStack) {
    this.#free = [...sessions];
    this.#stack = stack;
  }

  /** Before the snapshot is taken, so that little time passes until the tables are locked. */
  static async open(sides: Sides, count: number): Promise<Readers> {
    await using stack = new AsyncDisposableStack();
    const sessions: Session[] = [];
    for (let i = 0; i < count; i++) sessions.push(stack.use(await sides.openSource('read rows')));
    return new Readers(sessions, stack.move());
  }

  /**
   * Who wants to change a table waits for those that have locked it, and makes everybody else wait behind him; so all lock
   * at once, the session that holds the snapshot too.
   * @throws DATABASE_CONFLICT where a table was truncated or rewritten since the snapshot was taken
   */
  async begin(sides: Sides, held: HeldSnapshot): Promise<void> {
    await sides.within('source', 'lock its tables', async () => {
      await Promise.all(this.#free.map(({ client }) => beginUnderSnapshot(client, held.name)));
      await Promise.all([held.lock(), ...this.#free.map(({ client }) => lockTables(client, held.tables))]);
    });
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
