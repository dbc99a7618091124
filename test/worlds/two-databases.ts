/** A source and a target of a replication into PostgreSQL, and what both hold. */

import { dropReplicationOf, type ReplicateEnvironment, replicate } from '../../src/jobs/replicate/run.ts';
import type { ReplicateOptions } from '../../src/jobs/replicate/settings.ts';
import type { PostgresServer, PostgresTestDatabase } from '../servers/postgres.ts';

let jobs = 0;

export class TwoDatabases implements AsyncDisposable {
  readonly source: PostgresTestDatabase;
  readonly target: PostgresTestDatabase;
  readonly name = `pair_${process.pid}_${++jobs}`;
  /** Of the last run. */
  notices: string[] = [];

  private constructor(source: PostgresTestDatabase, target: PostgresTestDatabase) {
    this.source = source;
    this.target = target;
  }

  /** @param elsewhere another server for the target */
  static async create(server: PostgresServer, elsewhere = server): Promise<TwoDatabases> {
    return new TwoDatabases(await server.createDatabase(), await elsewhere.createDatabase());
  }

  options(more: Partial<ReplicateOptions> = {}): ReplicateOptions & { name: string } {
    return {
      from: this.source.url,
      to: this.target.url,
      every: 100,
      untilCaughtUp: true,
      ...more,
      name: more.name ?? this.name,
    };
  }

  replicate(more: Partial<ReplicateOptions> = {}, environment: ReplicateEnvironment = {}) {
    this.notices = [];
    return replicate(this.options(more), {
      ...environment,
      emit: (event) => {
        if (event.type === 'notice') this.notices.push(event.text);
        environment.emit?.(event);
      },
    });
  }

  /** The rows of a table as text, in an order of their own, of the source and of the target. */
  async rows(table: string, columns = '*'): Promise<[string[], string[]]> {
    const text = `SELECT t::text AS row FROM (SELECT ${columns} FROM ${table}) t ORDER BY t::text COLLATE "C"`;
    const [one, other] = await Promise.all([this.source.sql(text), this.target.sql(text)]);
    return [one.map(({ row }) => String(row)), other.map(({ row }) => String(row))];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await dropReplicationOf(this.options());
  }
}
