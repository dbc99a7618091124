/** Chooses tables by patterns of `schema.table`. Pure. */

import { LongshoreError } from '../../errors.ts';

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/**
 * A table is chosen when it matches a pattern, and no pattern with `!` before it; without any pattern that chooses,
 * every table is meant. `*` stands for any characters; a pattern without a dot is a table of `public`.
 * @throws CONFIG_INVALID for a pattern that is none
 */
export function tableFilter(patterns: readonly string[]): (table: TableName) => boolean {
  const chosen = patterns.filter((pattern) => !pattern.startsWith('!')).map(compile);
  const left = patterns
    .filter((pattern) => pattern.startsWith('!'))
    .map((pattern) => compile(pattern.slice(1)));
  return (table) => {
    const text = textOf(table);
    return (
      (chosen.length === 0 || chosen.some((glob) => glob.test(text))) && !left.some((glob) => glob.test(text))
    );
  };
}

/** Patterns without a star that no table matches: somebody named a table that is not there. */
export function unmatched(patterns: readonly string[], tables: readonly TableName[]): string[] {
  return patterns.filter((pattern) => {
    if (pattern.startsWith('!') || pattern.includes('*')) return false;
    const glob = compile(pattern);
    return !tables.some((table) => glob.test(textOf(table)));
  });
}

/** @throws TABLE_NOT_FOUND where somebody named a table that the database does not have */
export function checkNamed(
  patterns: readonly string[],
  tables: readonly TableName[],
  database: string,
): void {
  const [absent] = unmatched(patterns, tables);
  if (absent === undefined) return;
  throw new LongshoreError('TABLE_NOT_FOUND', `${database} has no table ${absent}`, {
    hint: 'name tables as schema.table; capitals count',
  });
}

/** No name holds U+0000, so that a dot in a name is none between two. */
function textOf({ schema, name }: TableName): string {
  return `${schema}\0${name}`;
}

function compile(pattern: string): RegExp {
  const parts = pattern.split('.');
  const [schema, name] = parts.length === 1 ? ['public', parts[0]!] : [parts[0]!, parts.slice(1).join('.')];
  if (schema === '' || name === '') {
    throw new LongshoreError('CONFIG_INVALID', `cannot read "${pattern}" as a pattern of tables`, {
      hint: 'write schema.table, with * for any characters: public.*,!public.audit_*',
    });
  }
  const source = [schema, name].map((part) =>
    part
      .split('*')
      .map((text) => text.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
      .join('[^\\0]*'),
  );
  return new RegExp(`^${source.join('\\0')}$`, 'su');
}
