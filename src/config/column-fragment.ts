/** Reads the columns that stand after `#` in a database URL: `schema.table.column:json,"Other Table".path`. */

/** Where a reference stands in a column's value; `auto` is decided by the column's type. */
const FORMS = ['value', 'json', 'array', 'text'] as const;

/** A column as named in a URL; the same shape as a `ColumnRef` of the databases. */
export interface ColumnName {
  readonly schema?: string | undefined;
  readonly table: string;
  readonly column: string;
  readonly within: (typeof FORMS)[number] | 'auto';
}

/**
 * Parses a fragment whose percent-encoding is already taken off.
 *
 * Names without quotes are folded to lower case where the dialect's SQL does so (PostgreSQL). A quote inside a
 * quoted name is doubled, as in SQL.
 *
 * @returns the columns, or a text that says what is wrong with the fragment.
 */
export function parseColumns(fragment: string, dialect: 'postgres' | 'mysql'): ColumnName[] | string {
  const columns: ColumnName[] = [];
  let rest = fragment;
  for (;;) {
    const parts: string[] = [];
    for (;;) {
      const name = /^\s*(?:"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|([^\s"`.,:][^"`.,:]*))\s*/.exec(rest);
      if (name === null) return `a name is missing or not closed in the column "${fragment}"`;
      rest = rest.slice(name[0].length);
      parts.push(nameOf(name, dialect));
      if (!rest.startsWith('.')) break;
      rest = rest.slice(1);
    }
    if (parts.some((part) => part === '')) return `a name is empty in the column "${fragment}"`;
    if (parts.length < 2 || parts.length > 3)
      return `"${parts.join('.')}" does not name a table and a column`;
    let within: ColumnName['within'] = 'auto';
    const suffix = /^:\s*([a-z]*)\s*/.exec(rest);
    if (suffix !== null) {
      const form = FORMS.find((known) => known === suffix[1]);
      if (form === undefined)
        return `":${suffix[1]}" is none of ${FORMS.map((known) => `:${known}`).join(', ')}`;
      within = form;
      rest = rest.slice(suffix[0].length);
    }
    const [column, table, schema] = parts.reverse();
    columns.push(
      Object.freeze({ ...(schema === undefined ? {} : { schema }), table: table!, column: column!, within }),
    );
    if (rest === '') return columns;
    if (!rest.startsWith(',')) return `"${rest}" follows the column "${parts.reverse().join('.')}"`;
    rest = rest.slice(1);
  }
}

function nameOf(match: RegExpExecArray, dialect: 'postgres' | 'mysql'): string {
  if (match[1] !== undefined) return match[1].replaceAll('""', '"');
  if (match[2] !== undefined) return match[2].replaceAll('``', '`');
  const bare = match[3]!.trimEnd();
  return dialect === 'postgres' ? bare.toLowerCase() : bare;
}
