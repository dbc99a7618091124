/** What is found in a dump of PostgreSQL while it passes: the rows of each table, and where its sequences stand. */

import { LongshoreError } from '../../errors.ts';
import { RowDigest } from '../row-digest.ts';

export interface DumpedTable {
  readonly schema: string;
  readonly name: string;
}

export class DumpContent {
  readonly #tables = new Map<string, DumpedTable & { readonly digest: RowDigest }>();
  /** `schema.name` → `17 true` */
  readonly sequences = new Map<string, string>();

  /** The digest of a table, which has no rows until some are added. */
  table(table: DumpedTable): RowDigest {
    const key = keyOf(table);
    const known = this.#tables.get(key)?.digest;
    if (known !== undefined) return known;
    const digest = new RowDigest();
    this.#tables.set(key, { ...table, digest });
    return digest;
  }

  has(table: DumpedTable): boolean {
    return this.#tables.has(keyOf(table));
  }

  /** Takes the statement that sets a sequence; others are passed over. */
  setval(statement: string): void {
    const match = /pg_catalog\.setval\('((?:[^']|'')+)', (\d+|-\d+), (true|false)\)/.exec(statement);
    if (match === null) return;
    const names = namesIn(match[1]!.replaceAll("''", "'"));
    this.sequences.set(names.join('.'), `${match[2]} ${match[3]}`);
  }
}

function keyOf({ schema, name }: DumpedTable): string {
  return JSON.stringify([schema, name]);
}

/** `public."a.b"` → `public`, `a.b` */
export function namesIn(text: string): string[] {
  return [...text.matchAll(/"((?:[^"]|"")*)"|([^".]+)/g)].map(
    (match) => match[2] ?? match[1]!.replaceAll('""', '"'),
  );
}

export function damaged(what: string): LongshoreError {
  return new LongshoreError('DATABASE_FAILED', `the dump is not whole: ${what}`, {
    hint: 'look at the server and at the client program, and run the backup again',
  });
}
