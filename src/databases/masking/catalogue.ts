/** What masking has to know of a database: its tables, their columns, and what refers to what. */

export interface MaskCatalogue {
  readonly tables: readonly CatalogueTable[];
  readonly foreignKeys: readonly ForeignKey[];
}

export interface CatalogueTable {
  /** Undefined on MySQL and MariaDB. */
  readonly schema: string | undefined;
  readonly name: string;
  /** As it stands in statements, quoted; tables are told apart by it. */
  readonly id: string;
  /** Of the table that its rows are seen through in the end: it itself, unless it is a partition or inherits. */
  readonly root: string;
  /** Of the tables that its rows are stored in: itself, its partitions, and what inherits from it. */
  readonly stored: readonly string[];
  readonly isPartition: boolean;
  readonly isPartitioned: boolean;
  readonly columns: readonly CatalogueColumn[];
  /** Names; empty where it has none. */
  readonly primaryKey: readonly string[];
  /** Why its rows cannot be changed: `it has an UPDATE trigger`. */
  readonly notUpdated: string | undefined;
  /** Why its rows cannot be deleted. */
  readonly notDeleted: string | undefined;
}

export interface CatalogueColumn {
  readonly name: string;
  /** For a person. */
  readonly type: string;
  readonly holds: 'text' | 'uuid' | 'other';
  /** Characters; undefined where there is no limit. */
  readonly lengthMax: number | undefined;
  readonly notNull: boolean;
  readonly generated: boolean;
  /** Whether the server alone gives it a value. */
  readonly identity: boolean;
  /** Whether rows are told apart by it, alone or with others. */
  readonly unique: boolean;
  /** Whether rows are put into partitions by it. */
  readonly partitions: boolean;
  /** Whether values that differ in case are the same value. */
  readonly caseless: boolean;
  /** Whether an update of the row changes it, unless the update says otherwise. */
  readonly changesByItself: boolean;
}

export interface ForeignKey {
  readonly name: string;
  /** `id` of the table that refers. */
  readonly child: string;
  readonly childColumns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
  /** With which it is made again; undefined where nobody takes it away. */
  readonly definition: string | undefined;
}

/** `public.customers`, as it is written in rules. */
export function tableName({ schema, name }: Pick<CatalogueTable, 'schema' | 'name'>): string {
  return schema === undefined ? name : `${schema}.${name}`;
}
