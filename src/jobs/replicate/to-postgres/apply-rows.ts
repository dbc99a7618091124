/** Applies changes of rows to a table of the target, many a statement, and makes sure that each found its row. */

import type pg from 'pg';
import { LongshoreError } from '../../../errors.ts';
import type { NetRow, Values } from './net-rows.ts';
import {
  deleteStatement,
  insertStatement,
  type RowStatement,
  selectIntoStatement,
  updateStatement,
  wholeRowStatement,
} from './row-statements.ts';
import type { TargetTable } from './target-table.ts';

/** One change, where changes are applied one by one in the order in which they came. */
export type RowChange =
  | { readonly kind: 'insert'; readonly values: Values }
  | { readonly kind: 'update'; readonly key: Values; readonly values: Values }
  | { readonly kind: 'delete'; readonly key: Values }
  /** Of a row that only the whole of it tells from others; `after` is undefined for a deletion. */
  | { readonly kind: 'whole-row'; readonly before: Values; readonly after: Values | undefined };

const STATEMENT_ROWS = 2_000;
/** Statements that are kept prepared; others are planned each time. */
const PREPARED_MAX = 500;
const UNIQUE_VIOLATION = '23505';
const EXCLUSION_VIOLATION = '23P01';

export class RowApplier {
  readonly #client: pg.ClientBase;
  readonly #replica: boolean;
  readonly #prepared = new Map<string, string>();

  /** @param replica whether triggers and foreign keys of the target are silent */
  constructor(client: pg.ClientBase, replica: boolean) {
    this.#client = client;
    this.#replica = replica;
  }

  /**
   * Applies what changes of a table came to; to be called where triggers and keys are silent. Rows may take values from one
   * another that are unique: where one statement stumbles over that, all rows that change are taken out and put in again.
   */
  async applyNet(table: TargetTable, rows: readonly NetRow[]): Promise<void> {
    const updates = rows.filter(({ kind }) => kind === 'update' || kind === 'replace');
    const deletes = rows.filter(({ kind }) => kind === 'delete').map(({ key }) => key);
    const inserts = rows.filter(({ kind }) => kind === 'insert').map(({ values }) => values);
    await this.#delete(table, deletes);
    if (updates.length > 0) {
      await this.#updateOrExchange(table, groupsOf(table, updates));
    }
    await this.#insert(table, inserts);
  }

  /** Applies changes of a table in their order. */
  async applyInOrder(table: TargetTable, changes: readonly RowChange[]): Promise<void> {
    for (let at = 0; at < changes.length; ) {
      const end = endOfRun(changes, at);
      const first = changes[at]!;
      if (first.kind === 'update') await this.#update(table, first);
      else if (first.kind === 'whole-row') await this.#wholeRow(table, first.before, first.after);
      else if (first.kind === 'delete')
        await this.#delete(
          table,
          changes.slice(at, end).flatMap((change) => (change.kind === 'delete' ? [change.key] : [])),
        );
      else
        await this.#insert(
          table,
          changes.slice(at, end).flatMap((change) => (change.kind === 'insert' ? [change.values] : [])),
        );
      at = end;
    }
  }

  async #insert(table: TargetTable, rows: readonly Values[]): Promise<void> {
    for (const some of slices(rows)) await this.#run(insertStatement(table, some));
  }

  async #delete(table: TargetTable, keys: readonly Values[]): Promise<void> {
    for (const some of slices(keys)) {
      const found = await this.#run(deleteStatement(table, some));
      // Where triggers and keys are not silent, one of them may have deleted the row already.
      if (found !== some.length && this.#replica) throw missing(table, some.length - found, 'deleted');
    }
  }

  async #update(table: TargetTable, row: { readonly key: Values; readonly values: Values }): Promise<void> {
    const [group] = groupsOf(table, [row]);
    if (group === undefined) return;
    if (this.#replica) await this.#updateOrExchange(table, [group]);
    else if (!(await this.#updateGroup(table, group))) throw missing(table, 1, 'updated');
  }

  /** @returns whether each found its row */
  async #updateGroup(table: TargetTable, { places, rows }: UpdateGroup): Promise<boolean> {
    let found = 0;
    for (const some of slices(rows)) found += await this.#run(updateStatement(table, places, some));
    return found === rows.length;
  }

  /** Also a column that only the server numbers may have got another number. */
  async #updateOrExchange(table: TargetTable, groups: readonly UpdateGroup[]): Promise<void> {
    await this.#client.query('SAVEPOINT longshore_rows');
    if (await this.#updateAll(table, groups)) {
      await this.#client.query('RELEASE SAVEPOINT longshore_rows');
      return;
    }
    await this.#client.query('ROLLBACK TO SAVEPOINT longshore_rows');
    await this.#exchange(table, groups);
  }

  /** @returns whether every row was found and none stood in the way of another */
  async #updateAll(table: TargetTable, groups: readonly UpdateGroup[]): Promise<boolean> {
    try {
      for (const group of groups) if (!(await this.#updateGroup(table, group))) return false;
      return true;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === UNIQUE_VIOLATION || code === EXCLUSION_VIOLATION) return false;
      throw error;
    }
  }

  /** Takes rows out, changes them elsewhere, and puts them in again. */
  async #exchange(table: TargetTable, groups: readonly UpdateGroup[]): Promise<void> {
    const client = this.#client;
    const columns = table.columns.map(({ name }) => `"${name.replaceAll('"', '""')}"`).join(', ');
    const aside = 'pg_temp.longshore_rows';
    await client.query(
      `CREATE TEMPORARY TABLE longshore_rows ON COMMIT DROP AS SELECT ${columns} FROM ${table.text} LIMIT 0`,
    );
    for (const { rows } of groups)
      for (const some of slices(rows.map(({ key }) => key))) {
        const found = await this.#run(selectIntoStatement(table, aside, some), false);
        if (found !== some.length) throw missing(table, some.length - found, 'updated');
        await this.#run(deleteStatement(table, some));
      }
    for (const { places, rows } of groups)
      for (const some of slices(rows)) await this.#run(updateStatement(table, places, some, aside), false);
    await client.query(
      `INSERT INTO ${table.plainText} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM ${aside}`,
    );
    await client.query(`DROP TABLE ${aside}`);
  }

  async #wholeRow(table: TargetTable, before: Values, after: Values | undefined): Promise<void> {
    const { text, values } = wholeRowStatement(table, before, after);
    const { rowCount } = await this.#client.query(text, [...values]);
    if (rowCount !== 1) throw missing(table, 1, after === undefined ? 'deleted' : 'updated');
  }

  /** @returns how many rows it was about */
  async #run({ text, values }: RowStatement, mayPrepare = true): Promise<number> {
    const name = mayPrepare ? this.#nameOf(text) : undefined;
    const { rowCount } = await this.#client.query({
      ...(name === undefined ? {} : { name }),
      text,
      values: [...values],
    });
    return rowCount ?? 0;
  }

  #nameOf(text: string): string | undefined {
    const known = this.#prepared.get(text);
    if (known !== undefined || this.#prepared.size >= PREPARED_MAX) return known;
    const name = `longshore_${this.#prepared.size}`;
    this.#prepared.set(text, name);
    return name;
  }
}

interface UpdateGroup {
  /** Of the columns that are set. */
  readonly places: readonly number[];
  readonly rows: readonly { readonly key: Values; readonly values: Values }[];
}

/** Updates of the same columns; those of the key are set where they change. Updates that set nothing are left out. */
function groupsOf(
  { columns, key }: TargetTable,
  rows: readonly { readonly key: Values; readonly values: Values }[],
): UpdateGroup[] {
  const places = (row: { readonly key: Values; readonly values: Values }): string =>
    columns
      .flatMap((_, i) => {
        const value = row.values[i];
        const part = key.indexOf(i);
        return value === undefined || (part >= 0 && value === row.key[part]) ? [] : [i];
      })
      .join(',');
  return [...Map.groupBy(rows, places)].flatMap(([list, group]) =>
    list === '' ? [] : [{ places: list.split(',').map(Number), rows: group }],
  );
}

/** Insertions and deletions go together; each update goes alone, for the next may be of the same row. */
function endOfRun(changes: readonly RowChange[], at: number): number {
  const { kind } = changes[at]!;
  if (kind !== 'insert' && kind !== 'delete') return at + 1;
  let end = at + 1;
  while (end < changes.length && changes[end]!.kind === kind) end++;
  return end;
}

function* slices<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += STATEMENT_ROWS) yield items.slice(at, at + STATEMENT_ROWS);
}

function missing({ schema, name }: TargetTable, count: number, what: string): LongshoreError {
  return new LongshoreError(
    'DATABASE_FAILED',
    `${count} rows of ${schema}.${name} that the source ${what} are not in the target`,
    {
      hint: 'somebody else changed the target: `longshore replicate verify` names the rows, --resync loads the table again',
    },
  );
}
