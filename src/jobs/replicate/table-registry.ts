/** What is known of the tables of a change stream, from the stream itself and from the catalogue behind it. */

import type pg from 'pg';
import {
  type FieldMapping,
  mapField,
  outputText,
  type SourceColumn,
} from '../../databases/postgres/field-mapping.ts';
import type { Relation } from '../../databases/postgres/pgoutput.ts';
import { waitUntilSeen } from '../../databases/postgres/replication-setup.ts';
import { quoteName } from '../../databases/postgres/sql.ts';
import { BASE_TYPE, readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';

interface TypeRow {
  readonly oid: number;
  readonly name: string;
  /** Of a domain, the type under it; without a length. */
  readonly underlying: string;
  readonly kind: string;
  readonly base: number;
  readonly modifier: number;
  readonly toastable: boolean;
}

export class TableRegistry {
  readonly #client: pg.ClientBase;
  readonly #types = new Map<number, TypeRow>();
  readonly #slot: string;
  /** Of tables whose changes hold the whole old row, by oid: the primary key; empty where none is known of. */
  readonly #keys = new Map<number, readonly string[]>();
  #tables: readonly SourceTable[];

  /**
   * @param client reads the catalogue, and values that updates leave out
   * @param slot that changes come from
   */
  constructor(client: pg.ClientBase, tables: readonly SourceTable[], slot: string) {
    this.#client = client;
    this.#tables = tables;
    this.#slot = slot;
  }

  /** Called for each relation message, before its changes. @param xid of the transaction that it came in */
  async learn(relation: Relation, xid: number): Promise<void> {
    const unknown = relation.columns.map(({ typeOid }) => typeOid).filter((oid) => !this.#types.has(oid));
    if (unknown.length > 0) {
      await waitUntilSeen(this.#client, xid);
      const { rows } = await this.#client.query<TypeRow>(TYPES, [unknown]);
      for (const row of rows) this.#types.set(row.oid, row);
    }
    const known = this.#tableOf(relation);
    const isKnown = ({ name, typeOid, typeModifier }: SourceColumn): boolean =>
      known?.columns.some(
        (column) =>
          column.name === name && column.typeOid === typeOid && column.typeModifier === typeModifier,
      ) === true;
    if (!this.#columnsOf(relation).every(isKnown)) {
      await waitUntilSeen(this.#client, xid);
      this.#tables = await readTables(this.#client);
    }
    this.#keys.delete(relation.oid);
    if (relation.replicaIdentity !== 'f') return;
    this.#keys.set(relation.oid, []);
    await waitUntilSeen(this.#client, xid);
    await this.#readKeys([relation.oid]);
  }

  /**
   * Looks for primary keys that were not known of: the slot may have gone past them. What it says of a table holds until
   * its next relation message, as one comes before the first change behind whatever is done to a table.
   */
  async learnKeys(): Promise<void> {
    const open = [...this.#keys].flatMap(([oid, key]) => (key.length === 0 ? [oid] : []));
    if (open.length > 0) await this.#readKeys(open);
  }

  mappingsOf(relation: Relation): FieldMapping[] {
    return this.#columnsOf(relation).map(mapField);
  }

  typesOf(relation: Relation): { columns: readonly SourceColumn[] } {
    return { columns: this.#columnsOf(relation) };
  }

  /** Whether an update may leave values out, and the old row is not sent either. */
  isToastable(relation: Relation): boolean {
    if (relation.replicaIdentity === 'f') return false;
    return relation.columns.some(({ typeOid }) => this.#types.get(typeOid)?.toastable ?? true);
  }

  /**
   * Names of the columns by which changes name their row; none where only the whole row does. Changes that hold the whole
   * row do not say what the primary key was: it counts where it is known to have held for them.
   */
  identityOf(relation: Relation): string[] {
    if (relation.replicaIdentity === 'f') return [...(this.#keys.get(relation.oid) ?? [])];
    return relation.columns.flatMap(({ key, name }) => (key ? [name] : []));
  }

  /**
   * Reads columns of the rows that have these keys now.
   * @param keys texts of the columns of the replica identity
   * @returns by the JSON of the key, the texts of the columns by their names; no entry for a row that is gone
   */
  async reread(
    relation: Relation,
    keys: readonly string[],
    columns: readonly string[],
  ): Promise<Map<string, Map<string, string | null>>> {
    const found = new Map<string, Map<string, string | null>>();
    const keyColumns = this.#columnsOf(relation).filter((_, i) => relation.columns[i]!.key);
    const types = relation.columns.flatMap(({ key, typeOid }) => (key ? [this.#types.get(typeOid)!] : []));
    // A type that was dropped meanwhile: so was every column of it.
    if (types.includes(undefined as never)) return found;
    const text = rereadText(relation, keyColumns, types, columns);
    for (let at = 0; at < keys.length; at += REREAD_ROWS) {
      const some = keys.slice(at, at + REREAD_ROWS).map((key) => JSON.parse(key) as string[]);
      const { rows } = await this.#client
        .query<(string | null)[]>({
          text,
          values: keyColumns.map((_, i) => some.map((key) => key[i])),
          rowMode: 'array',
        } as never)
        .catch((error: { code?: string }) => {
          // The table, or a column, is not there any more: its rows are gone. A few values have a text that the server
          // does not read: their rows are looked up in the files.
          const isGone = CHANGED.has(error.code ?? '');
          if (isGone || error.code?.startsWith(DATA_EXCEPTION) === true) return { rows: [] };
          throw error;
        });
      for (const row of rows) {
        const key = JSON.stringify(row.slice(0, keyColumns.length));
        found.set(key, new Map(columns.map((name, i) => [name, row[keyColumns.length + i]!])));
      }
    }
    return found;
  }

  async #readKeys(oids: readonly number[]): Promise<void> {
    const { rows } = await this.#client.query<{ oid: number; key: string[] }>(KEYS, [oids, this.#slot]);
    for (const { oid, key } of rows) this.#keys.set(oid, key);
  }

  #columnsOf(relation: Relation): SourceColumn[] {
    const known = new Map(this.#tableOf(relation)?.columns.map((column) => [column.name, column]));
    return relation.columns.map(({ name, typeOid, typeModifier }) => {
      const type = this.#types.get(typeOid);
      const domain = type !== undefined && type.base !== 0;
      const resolved = {
        typeOid: domain ? type.base : typeOid,
        typeModifier: domain ? type.modifier : typeModifier,
      };
      const column = known.get(name);
      const isSame = column?.typeOid === resolved.typeOid && column.typeModifier === resolved.typeModifier;
      return {
        name,
        ...resolved,
        typeName: isSame ? column.typeName : (type?.name ?? String(typeOid)),
        typeKind: type?.kind ?? 'b',
      };
    });
  }

  #tableOf(relation: Relation): SourceTable | undefined {
    return this.#tables.find(({ schema, name }) => schema === relation.schema && name === relation.table);
  }
}

/** Rows with the keys of the parameters, an array of texts for each column of the key. */
function rereadText(
  relation: Relation,
  keyColumns: readonly SourceColumn[],
  types: readonly TypeRow[],
  columns: readonly string[],
): string {
  const arrays = keyColumns.map((_, i) => `$${i + 1}::text[]`).join(', ');
  const names = keyColumns.map((_, i) => `k${i + 1}`);
  const selected = [...keyColumns.map(({ name }) => name), ...columns].map(outputText);
  // Domains over enums have no operators of their own.
  const same = keyColumns.map(
    ({ name }, i) => `${quoteName(name)}::${types[i]!.underlying} = ${names[i]}::${types[i]!.underlying}`,
  );
  return `SELECT ${selected.join(', ')} FROM ${quoteName(relation.schema)}.${quoteName(relation.table)}
    JOIN unnest(${arrays}) AS wanted_key (${names.join(', ')}) ON ${same.join(' AND ')}`;
}

const REREAD_ROWS = 1_000;
/** No such table, column, type or operator; no cast from the type that a column has now. */
const CHANGED: ReadonlySet<string> = new Set(['42P01', '42703', '42704', '42883', '42846']);
/** Class of. */
const DATA_EXCEPTION = '22';

/**
 * Primary keys that are there, and were before every change that is still to come from the slot: whatever transaction
 * made or altered one, or a column of it, is older than all that ran when the slot was at a place that is confirmed. Not
 * those with generated columns, which changes leave out.
 */
const KEYS = `
SELECT c.conrelid::int8::float8 AS oid, array_agg(a.attname::text ORDER BY k.place) AS key
FROM pg_constraint c
CROSS JOIN LATERAL unnest(c.conkey) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number
JOIN pg_replication_slots s ON s.slot_name = $2
WHERE c.conrelid = ANY ($1::oid[]) AND c.contype = 'p' AND NOT c.condeferrable
GROUP BY c.conrelid
HAVING bool_and(age(c.xmin) > age(s.catalog_xmin) AND age(a.xmin) > age(s.catalog_xmin) AND a.attgenerated = '')`;

const TYPES = `
SELECT t.oid::int8::float8 AS oid, format_type(t.oid, NULL) AS name, format_type(coalesce(b.oid, t.oid), -1) AS underlying, coalesce(b.typtype, t.typtype) AS kind,
       coalesce(b.oid, 0)::int8::float8 AS base, CASE WHEN t.typtype = 'd' THEN b.modifier ELSE -1 END AS modifier, t.typstorage <> 'p' AS toastable
FROM pg_type t
${BASE_TYPE}
WHERE t.oid = ANY ($1::oid[])`;
