/** The buckets and their settings, held in memory and written through. */

import type { StatementSync } from 'node:sqlite';
import type { Database } from './database.ts';
import { S3Error } from './s3-error.ts';

export interface BucketConfig {
  /** Where it was said; a bucket without a region serves every region. */
  region?: string;
  versioning?: 'Enabled' | 'Suspended';
  objectLock?: boolean;
  /** Of new objects in a bucket with object lock. */
  retention?: { mode: string; days?: number; years?: number };
  encryption?: { algorithm: string; kmsKeyId?: string; bucketKey?: boolean };
}

export interface Bucket {
  readonly id: number;
  readonly name: string;
  readonly createdMs: number;
  readonly config: BucketConfig;
}

export class Buckets {
  readonly #database: Database;
  readonly #byName = new Map<string, Bucket>();
  readonly #aliases: ReadonlyMap<string, string>;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #delete: StatementSync;

  constructor(database: Database, aliases: Readonly<Record<string, string>>) {
    this.#database = database;
    this.#aliases = new Map(Object.entries(aliases));
    this.#insert = database.prepare('INSERT INTO buckets (name, created, config) VALUES (?, ?, ?)');
    this.#update = database.prepare('UPDATE buckets SET config = ? WHERE id = ?');
    this.#delete = database.prepare('DELETE FROM buckets WHERE id = ?');
    for (const row of database.prepare('SELECT id, name, created, config FROM buckets').all()) {
      this.#byName.set(row.name as string, {
        id: row.id as number,
        name: row.name as string,
        createdMs: row.created as number,
        config: JSON.parse(row.config as string) as BucketConfig,
      });
    }
  }

  /** The bucket's own name: the one an alias stands for, or the name given. */
  resolve(name: string): string {
    return this.#aliases.get(name) ?? name;
  }

  find(name: string): Bucket | undefined {
    return this.#byName.get(this.resolve(name));
  }

  /** @throws {S3Error} NoSuchBucket */
  get(name: string): Bucket {
    const bucket = this.find(name);
    if (bucket === undefined) throw new S3Error('NoSuchBucket', { details: { BucketName: name } });
    return bucket;
  }

  /** By name, in order. */
  all(): Bucket[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  add(name: string, createdMs: number, config: BucketConfig): Bucket {
    this.#database.write();
    const { lastInsertRowid } = this.#insert.run(name, createdMs, JSON.stringify(config));
    const bucket = { id: Number(lastInsertRowid), name, createdMs, config };
    this.#byName.set(name, bucket);
    return bucket;
  }

  configure(bucket: Bucket, change: (config: BucketConfig) => void): void {
    change(bucket.config);
    this.#database.write();
    this.#update.run(JSON.stringify(bucket.config), bucket.id);
  }

  remove(bucket: Bucket): void {
    this.#database.write();
    this.#delete.run(bucket.id);
    this.#byName.delete(bucket.name);
  }
}
