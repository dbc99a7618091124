/** What a copy of a schema is made of: statements with the names of what they make. */

/** Made before there are rows. */
export interface SchemaObject {
  readonly kind: 'schema' | 'extension' | 'type' | 'function' | 'collation' | 'sequence' | 'table' | 'detail';
  /** Quoted, with the schema; of a function with the types of its arguments. Of a detail, what it is of. */
  readonly name: string;
  readonly create: string;
  /** Takes it away again; undefined for what stays, or goes with another object. */
  readonly drop?: string | undefined;
}

/** Made when the rows are there. */
export interface LaterStatement {
  /** `the index "public"."items_v_idx"` */
  readonly what: string;
  readonly text: string;
  /** What is done where rows of the source itself break the rule: it holds for rows to come. */
  readonly orElse?: string | undefined;
}

/** Groups may run at the same time, the statements of one group only one after another. */
export interface LaterStage {
  readonly groups: readonly (readonly LaterStatement[])[];
}

/** A literal in single quotes, whatever `standard_conforming_strings` is. */
export function quoteText(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
