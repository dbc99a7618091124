/** A replication from a fresh PostgreSQL database into files in a fresh folder, for each test of a file. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import {
  dropReplicationOf,
  type ReplicateEnvironment,
  type ReplicateSummary,
  replicate,
} from '../../src/jobs/replicate/run.ts';
import type { ReplicateOptions } from '../../src/jobs/replicate/settings.ts';
import { type VerifiedReplica, verifyReplica } from '../../src/jobs/replicate/verify.ts';
import { type PostgresServer, type PostgresTestDatabase, postgresServer } from '../servers/postgres.ts';
import { Lake } from './lake.ts';

/** Made anew by each `open`: before each test, or once for a file. */
export class LakeJob {
  readonly #prefix: string;
  readonly #settings: Partial<ReplicateOptions>;
  #server: PostgresServer | undefined;
  #database: PostgresTestDatabase | undefined;
  #folder = '';
  #number = 0;
  /** What the job told. */
  notices: string[] = [];

  /**
   * @param prefix of the names of the jobs: of one file, as a server may be shared
   * @param settings of every run
   */
  constructor(prefix: string, settings: Partial<ReplicateOptions> = {}) {
    this.#prefix = prefix;
    this.#settings = settings;
  }

  get server(): PostgresServer {
    return this.#server!;
  }

  get database(): PostgresTestDatabase {
    return this.#database!;
  }

  get folder(): string {
    return this.#folder;
  }

  get lake(): Lake {
    return new Lake(this.#folder, this.name);
  }

  get name(): string {
    return `${this.#prefix}_${this.#number}`;
  }

  async open(server: PostgresServer): Promise<void> {
    this.#server = server;
    this.#database = await server.createDatabase();
    this.#folder = mkdtempSync(join(tmpdir(), 'longshore-lake-'));
    this.#number++;
    this.notices = [];
  }

  async close(): Promise<void> {
    await dropReplicationOf(this.options());
    rmSync(this.#folder, { recursive: true, force: true });
  }

  options(more: Partial<ReplicateOptions> = {}): ReplicateOptions & { name: string } {
    return {
      from: this.database.url,
      to: `file://${this.#folder}/`,
      untilCaughtUp: true,
      every: 50,
      ...this.#settings,
      ...more,
      name: more.name ?? this.name,
    };
  }

  run(
    more: Partial<ReplicateOptions> = {},
    environment: ReplicateEnvironment = {},
  ): Promise<ReplicateSummary> {
    return replicate(this.options(more), {
      ...environment,
      emit: (event) => {
        if (event.type === 'notice') this.notices.push(event.text);
        environment.emit?.(event);
      },
    });
  }

  /** Changes the source, and lands that. */
  async land(sql: string, more: Partial<ReplicateOptions> = {}): Promise<void> {
    await this.database.sql(sql);
    await this.run(more);
  }

  verify(more: Partial<ReplicateOptions> = {}): Promise<VerifiedReplica> {
    return verifyReplica(this.options(more));
  }

  /** Verifies, and fails where files and tables are not the same. */
  async expectSame(): Promise<VerifiedReplica> {
    const verified = await this.verify();
    expect(verified.tables.flatMap(({ differences }) => differences)).toEqual([]);
    expect(verified.differences).toBe(0);
    return verified;
  }

  /** The slots and publications of the database. */
  onServer(): Promise<Record<string, unknown>[]> {
    return this.database.sql(`SELECT slot_name::text AS name FROM pg_replication_slots WHERE database = current_database()
      UNION ALL SELECT pubname::text FROM pg_publication`);
  }
}

export function lakeJob(prefix: string, settings: Partial<ReplicateOptions> = {}): LakeJob {
  const job = new LakeJob(prefix, settings);
  let server: PostgresServer;
  beforeAll(async () => {
    server = await postgresServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  beforeEach(async () => {
    await job.open(server);
    return () => job.close();
  });
  return job;
}
