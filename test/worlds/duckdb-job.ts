/** A replication from a fresh PostgreSQL database into a fresh DuckDB database, for each test of a file. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import type { ReplicateEvent } from '../../src/jobs/replicate/events.ts';
import {
  dropReplicationOf,
  type ReplicateEnvironment,
  type ReplicateSummary,
  replicate,
} from '../../src/jobs/replicate/run.ts';
import type { ReplicateOptions } from '../../src/jobs/replicate/settings.ts';
import { type PostgresServer, type PostgresTestDatabase, postgresServer } from '../servers/postgres.ts';
import { PostgresOracle } from './postgres-oracle.ts';
import { expectWarehouse, WarehouseReader } from './warehouse.ts';

/** Made anew before each test. */
export class DuckDbJob {
  #database: PostgresTestDatabase | undefined;
  #oracle: PostgresOracle | undefined;
  #folder = '';
  #number = 0;
  /** What the job told. */
  notices: string[] = [];

  get database(): PostgresTestDatabase {
    return this.#database!;
  }

  get oracle(): PostgresOracle {
    return this.#oracle!;
  }

  get folder(): string {
    return this.#folder;
  }

  get reader(): WarehouseReader {
    return new WarehouseReader(join(this.#folder, 'shop.duckdb'));
  }

  get name(): string {
    return `duck_${this.#number}`;
  }

  async open(postgres: PostgresServer): Promise<void> {
    this.#database = await postgres.createDatabase();
    this.#oracle = await PostgresOracle.open(this.database.url);
    this.#folder = mkdtempSync(join(tmpdir(), 'longshore-duckdb-'));
    this.#number++;
    this.notices = [];
  }

  async close(): Promise<void> {
    await dropReplicationOf(this.options());
    await this.oracle[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  options(more: Partial<ReplicateOptions> = {}): ReplicateOptions {
    return {
      from: this.database.url,
      to: `duckdb://${this.#folder}/shop.duckdb`,
      name: this.name,
      untilCaughtUp: true,
      every: 50,
      ...more,
    };
  }

  run(
    more: Partial<ReplicateOptions> = {},
    environment: ReplicateEnvironment = {},
  ): Promise<ReplicateSummary> {
    const emit = (event: ReplicateEvent): void => {
      if (event.type === 'notice') this.notices.push(event.text);
    };
    return replicate(this.options(more), { emit, ...environment });
  }

  /** Changes the source, and lands that. */
  async land(sql: string): Promise<void> {
    await this.database.sql(sql);
    await this.run();
  }

  /** Fails where tables are not those of the source. */
  async expectSame(...tables: string[]): Promise<void> {
    await expectWarehouse(this.reader, this.oracle, tables);
  }

  /** Data files that are left beside the database. */
  staged(): string[] {
    const names = readdirSync(`${this.reader.path}.longshore`, { recursive: true }) as string[];
    return names.filter((name) => name.endsWith('.parquet'));
  }
}

export function duckDbJob(): DuckDbJob {
  const job = new DuckDbJob();
  let postgres: PostgresServer;
  beforeAll(async () => {
    postgres = await postgresServer();
  });
  afterAll(() => postgres[Symbol.asyncDispose]());
  beforeEach(async () => {
    await job.open(postgres);
    return () => job.close();
  });
  return job;
}
