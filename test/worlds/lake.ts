/** Reads the files of a replication back, as a reader of the lake would. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { readParquet } from 'parquet-wasm/node';
import type { Manifest } from '../../src/jobs/replicate/manifest.ts';

export type Row = Record<string, unknown>;

/** A lake in a folder. */
export class Lake {
  readonly folder: string;
  readonly job: string;

  constructor(folder: string, job: string) {
    this.folder = folder;
    this.job = job;
  }

  /** In the order of epochs. */
  manifests(): Manifest[] {
    const path = join(this.folder, '_longshore', this.job, 'epochs');
    // A writer that was killed leaves what it had not finished, hidden.
    return readdirSync(path)
      .filter((name) => !name.startsWith('.'))
      .sort()
      .map((name) => JSON.parse(readFileSync(join(path, name), 'utf8')) as Manifest);
  }

  /** Files of tables as a reader lists them. */
  listed(): string[] {
    return (readdirSync(this.folder, { recursive: true }) as string[])
      .filter((name) => name.endsWith('.parquet') && statSync(join(this.folder, name)).isFile())
      .sort();
  }

  rowsOf(key: string): Row[] {
    const table = tableFromIPC(readParquet(readFileSync(join(this.folder, key))).intoIPCStream());
    return table.toArray().map((row) => {
      const plain: Row = {};
      for (const [name, value] of Object.entries(row.toJSON() as Row)) {
        plain[name] = typeof value === 'bigint' ? Number(value) : value;
      }
      return plain;
    });
  }

  /** Every change of a table, in the order of its files and rows. */
  changesOf(table: string): Row[] {
    return this.manifests()
      .filter(({ kind }) => kind === 'changes')
      .flatMap(({ files }) =>
        files.filter((file) => file.table === table).flatMap(({ key }) => this.rowsOf(key)),
      );
  }

  /** What the files say that the table holds, by its key. */
  current(table: string, key = 'id'): Map<unknown, Row> {
    const state = new Map<unknown, Row>();
    for (const step of this.#steps(table)) {
      if (step === 'truncate') state.clear();
      else if (step['Op'] === 'D') state.delete(step[key]);
      else state.set(step[key], step);
    }
    return state;
  }

  /** Rows that come although they are there, and changes of rows that are not: what came twice, or not at all. */
  contradictions(table: string, key = 'id'): string[] {
    const there = new Set<unknown>();
    const found: string[] = [];
    for (const step of this.#steps(table)) {
      if (step === 'truncate') {
        there.clear();
        continue;
      }
      const op = (step['Op'] as string | undefined) ?? 'I';
      if (there.has(step[key]) === (op === 'I')) found.push(`${op} of ${String(step[key])}`);
      if (op === 'D') there.delete(step[key]);
      else there.add(step[key]);
    }
    return found;
  }

  /** Rows and truncations in their order, from where the table was loaded last. */
  *#steps(table: string): Generator<Row | 'truncate'> {
    const manifests = this.manifests();
    const first = manifests.findLastIndex(({ events }) =>
      events.some((event) => event.kind === 'table-added' && event.table === table),
    );
    for (const { kind, files, events } of manifests.slice(Math.max(0, first))) {
      const rows = files.filter((file) => file.table === table).flatMap((file) => this.rowsOf(file.key));
      if (kind !== 'changes') yield* rows;
      else {
        const steps = [
          ...events
            .filter((event) => event.kind === 'truncate' && event.table === table)
            .map(({ lsn, ordinal }) => ({ lsn: lsnOf(lsn), ordinal, step: 'truncate' as const })),
          ...rows.map((step) => ({
            lsn: Number(step['_commit_lsn']),
            ordinal: Number(step['_ordinal']),
            step,
          })),
        ];
        steps.sort((a, b) => a.lsn - b.lsn || a.ordinal - b.ordinal);
        for (const { step } of steps) yield step;
      }
    }
  }
}

function lsnOf(text: string): number {
  const [high, low] = text.split('/').map((part) => Number.parseInt(part, 16));
  return high! * 2 ** 32 + low!;
}
