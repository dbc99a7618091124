/** What is known of the tables of a change stream, from the stream itself and from the catalogue behind it. */

import type pg from 'pg';
import {
  type FieldMapping,
  mapField,
  outputText,
  type SourceColumn,
} from '../../databases/postgres/field-mapping.ts';
import { eachField, FIELD, type Relation, type Tuple } from '../../databases/postgres/pgoutput.ts';
import { quoteName } from '../../databases/postgres/sql.ts';
import { BASE_TYPE, readTables, type SourceTable } from '../../databases/postgres/table-catalogue.ts';
import type { Reread } from './change-table.ts';

interface TypeRow {
  readonly oid: number;
  readonly name: string;
  readonly kind: string;
  readonly base: number;
  readonly modifier: number;
  readonly toastable: boolean;
}

export class TableRegistry {
  readonly #client: pg.ClientBase;
  readonly #types = new Map<number, TypeRow>();
  #tables: readonly SourceTable[];

  /** @param client reads the catalogue, and values that updates leave out */
  constructor(client: pg.ClientBase, tables: readonly SourceTable[]) {
    this.#client = client;
    this.#tables = tables;
  }

  /** Called for each relation message, before its changes. */
  async learn(relation: Relation): Promise<void> {
    const unknown = relation.columns.map(({ typeOid }) => typeOid).filter((oid) => !this.#types.has(oid));
    if (unknown.length > 0) {
      const { rows } = await this.#client.query<TypeRow>(TYPES, [unknown]);
      for (const row of rows) this.#types.set(row.oid, row);
    }
    const known = this.#tableOf(relation);
    const names = new Set(known?.columns.map(({ name }) => name));
    if (relation.columns.some(({ name }) => !names.has(name))) this.#tables = await readTables(this.#client);
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

  /** Places of the primary key's columns. */
  keyPlaces(relation: Relation): number[] {
    const key = this.#tableOf(relation)?.primaryKey ?? [];
    return relation.columns.flatMap(({ name }, i) => (key.includes(name) ? [i] : []));
  }

  /** Reads columns of the row that has the tuple's key now; NULLs where it is gone. */
  async reread(relation: Relation, tuple: Tuple, columns: readonly string[]): Promise<Reread[]> {
    const keys = relation.columns.flatMap(({ key, name }, i) => (key ? [{ name, i }] : []));
    const values: string[] = [];
    eachField(tuple, (index, mark, at, length) => {
      if (keys.some(({ i }) => i === index) && mark === FIELD.text)
        values.push(tuple.bytes.toString('utf8', at, at + length));
    });
    const where = keys.map(({ name }, i) => `${quoteName(name)} = $${i + 1}`).join(' AND ');
    const selected = columns.map((name) => `${outputText(name)} AS ${quoteName(name)}`).join(', ');
    const { rows } = await this.#client.query<Record<string, string | null>>(
      `SELECT ${selected} FROM ${quoteName(relation.schema)}.${quoteName(relation.table)} WHERE ${where}`,
      values,
    );
    return columns.map((name) => ({ name, value: rows[0]?.[name] ?? null }));
  }

  #columnsOf(relation: Relation): SourceColumn[] {
    const known = new Map(this.#tableOf(relation)?.columns.map((column) => [column.name, column]));
    return relation.columns.map(({ name, typeOid, typeModifier }) => {
      const type = this.#types.get(typeOid);
      const domain = type !== undefined && type.base !== 0;
      return {
        name,
        typeOid: domain ? type.base : typeOid,
        typeModifier: domain ? type.modifier : typeModifier,
        typeName: known.get(name)?.typeName ?? type?.name ?? String(typeOid),
        typeKind: type?.kind ?? 'b',
      };
    });
  }

  #tableOf(relation: Relation): SourceTable | undefined {
    return this.#tables.find(({ schema, name }) => schema === relation.schema && name === relation.table);
  }
}

const TYPES = `
SELECT t.oid::int8::int4 AS oid, format_type(t.oid, NULL) AS name, coalesce(b.typtype, t.typtype) AS kind,
       coalesce(b.oid, 0)::int8::int4 AS base, t.typtypmod AS modifier, t.typstorage <> 'p' AS toastable
FROM pg_type t
${BASE_TYPE}
WHERE t.oid = ANY ($1::oid[])`;
