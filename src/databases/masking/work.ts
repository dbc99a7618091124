/** What masking does to a database, settled: nothing of it is decided later. */

import type { CatalogueColumn, CatalogueTable, ForeignKey } from './catalogue.ts';

/** Lengths are characters. */
export type ColumnRule =
  | { readonly kind: 'null' }
  | { readonly kind: 'constant'; readonly value: string }
  /** Hexadecimal digits. */
  | { readonly kind: 'hash'; readonly length: number }
  /** So many digits of its hash are in the address. */
  | { readonly kind: 'email'; readonly digits: number }
  | {
      readonly kind: 'name';
      readonly part: 'full' | 'first' | 'last';
      readonly lengthMax: number | undefined;
    }
  | { readonly kind: 'shuffle' };

export interface MaskedColumn {
  readonly column: CatalogueColumn;
  readonly rule: ColumnRule;
}

export interface MaskedTable {
  readonly table: CatalogueTable;
  readonly columns: readonly MaskedColumn[];
}

export interface SubsetRule {
  readonly table: CatalogueTable;
  /** A condition in SQL, which holds for rows that stay; undefined where all may stay. */
  readonly keep: string | undefined;
}

export interface MaskWork {
  readonly masked: readonly MaskedTable[];
  readonly subset: readonly SubsetRule[];
  /** Over which rows go when the row that they refer to goes. */
  readonly spreading: readonly ForeignKey[];
  /** Whose reference is set to NULL instead. */
  readonly cutting: readonly ForeignKey[];
  /** Roots of all tables whose rows are changed or deleted. */
  readonly changed: readonly CatalogueTable[];
  /** Of those, the ones that may lose rows. */
  readonly losing: readonly CatalogueTable[];
  /** Ids of tables that are cut into partitions. */
  readonly partitioned: ReadonlySet<string>;
  /** All that have a changed table on one of their sides. */
  readonly foreignKeys: readonly ForeignKey[];
}

export interface MaskedColumnResult {
  readonly name: string;
  /** `hash`, `fake name` … */
  readonly rule: string;
  /** That are not NULL now. */
  readonly values: number;
}

export interface MaskedTableResult {
  readonly table: string;
  readonly rows: number;
  readonly deleted: number;
  readonly columns: readonly MaskedColumnResult[];
}

export interface MaskResult {
  readonly tables: readonly MaskedTableResult[];
  /** That were looked through for rows without the row that they refer to. */
  readonly foreignKeysProven: number;
}

export interface MaskRun {
  /** Hexadecimal digits, that hashes are made with. */
  readonly key: string;
  readonly signal: AbortSignal;
  /** A phase begins. */
  phase(name: string): void;
}

/** `hash`, `fake name`: as it is written in rules. */
export function ruleName(rule: ColumnRule): string {
  if (rule.kind !== 'name') return rule.kind;
  return rule.part === 'full' ? 'fake name' : `fake ${rule.part} name`;
}
