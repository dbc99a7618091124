/** A replication by the program, from a fresh PostgreSQL database into files in a fresh folder. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dropReplicationOf } from '../../src/jobs/replicate/run.ts';
import type { PostgresServer, PostgresTestDatabase } from '../servers/postgres.ts';
import { Lake } from '../worlds/lake.ts';
import { type ProgramResult, runProgram } from './world.ts';

let worlds = 0;

export class ReplicateWorld implements AsyncDisposable {
  readonly database: PostgresTestDatabase;
  readonly name: string;
  /** In which the program runs. */
  readonly folder: string;
  /** Where the program has its temporary files. */
  readonly temporary: string;
  readonly lake: Lake;
  readonly env: Record<string, string>;
  readonly #flags: readonly string[];

  private constructor(database: PostgresTestDatabase, prefix: string, flags: readonly string[]) {
    this.database = database;
    this.name = `${prefix}_${++worlds}`;
    this.folder = mkdtempSync(join(tmpdir(), `longshore-${prefix}-`));
    this.temporary = join(this.folder, 'tmp');
    this.lake = new Lake(join(this.folder, 'lake'), this.name);
    this.env = { TMPDIR: this.temporary };
    this.#flags = flags;
    for (const path of [this.lake.folder, this.temporary]) mkdirSync(path);
  }

  /**
   * @param prefix of the names of the jobs: of one file, as a server may be shared
   * @param tables the SQL that makes them
   * @param flags of every run
   */
  static async create(
    server: PostgresServer,
    prefix: string,
    tables: string,
    flags: readonly string[] = [],
  ): Promise<ReplicateWorld> {
    const database = await server.createDatabase();
    await database.sql(tables);
    // Transactions are streamed that are hardly large.
    await database.sql(`ALTER DATABASE ${database.name} SET logical_decoding_work_mem = '64kB'`);
    return new ReplicateWorld(database, prefix, flags);
  }

  args(to = `file://${this.lake.folder}/`): string[] {
    const job = ['--from', this.database.url, '--to', to, '--name', this.name];
    return ['replicate', ...job, '--json', ...this.#flags];
  }

  /** Runs until everything is landed. */
  catchUp(env: Readonly<Record<string, string>> = {}, ...more: string[]): Promise<ProgramResult> {
    return runProgram(this, [...this.args(), '--until-caught-up', ...more], env);
  }

  /** Runs until it is stopped. */
  follow(onStart: Parameters<typeof runProgram>[3], ...more: string[]): Promise<ProgramResult> {
    return runProgram(this, [...this.args(), ...more], {}, onStart);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      const to = `file://${this.lake.folder}/`;
      await dropReplicationOf({ from: this.database.url, to, name: this.name });
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }
}
