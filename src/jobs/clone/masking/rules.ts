/**
 * Masking rules: what becomes of columns, and which rows stay. What is wrong in them is told all at once.
 *
 * ```yaml
 * columns:
 *   public.customers.email: email
 *   public.customers.name: fake name
 *   public.customers.phone: { hash: hex }
 *   public.customers.notes: null
 *   public.customers.country: { constant: DE }
 *   public.orders.comment: shuffle
 * subset:
 *   public.customers: "created_at > now() - interval '30 days'"
 *   public.orders: { keep: 'total > 0', set null: [referrer_id] }
 * ```
 */

import { parseColumns } from '../../../config/column-fragment.ts';
import { readYaml } from '../../../config/read-yaml.ts';
import { LongshoreError } from '../../../errors.ts';

export type MaskRule =
  | { readonly kind: 'null' | 'hash' | 'email' | 'shuffle' }
  | { readonly kind: 'constant'; readonly value: string }
  | { readonly kind: 'name'; readonly part: 'full' | 'first' | 'last' };

export interface RuleOfColumn {
  readonly schema: string | undefined;
  readonly table: string;
  readonly column: string;
  readonly rule: MaskRule;
}

export interface RuleOfRows {
  readonly schema: string | undefined;
  readonly table: string;
  /** A condition in SQL; undefined where it is only about references. */
  readonly keep: string | undefined;
  /** Columns that become NULL when the row that they refer to goes. */
  readonly setNull: readonly string[];
}

export interface MaskingRules {
  readonly columns: readonly RuleOfColumn[];
  readonly subset: readonly RuleOfRows[];
}

type Dialect = 'postgres' | 'mysql';

/**
 * @param dialect whose quotes and capitals names have; a table without a schema is one of `public` on PostgreSQL
 * @param path of the file, for messages
 * @throws CONFIG_INVALID, naming everything that is wrong
 */
export function parseMaskingRules(text: string, dialect: Dialect, path: string): MaskingRules {
  const document = readYaml(text, path);
  const problems: string[] = [];
  const parts = mapping(document, 'the file', problems);
  const unknown = Object.keys(parts).filter((key) => key !== 'columns' && key !== 'subset');
  problems.push(...unknown.map((key) => `${key} is neither columns nor subset`));
  const columns = Object.entries(mapping(parts['columns'] ?? {}, 'columns', problems)).flatMap(
    ([name, value]) => ruleOfColumn(name, value, dialect, problems),
  );
  const subset = Object.entries(mapping(parts['subset'] ?? {}, 'subset', problems)).flatMap(([name, value]) =>
    ruleOfRows(name, value, dialect, problems),
  );
  for (const name of repeated(columns.map((rule) => JSON.stringify([rule.schema, rule.table, rule.column]))))
    problems.push(`${(JSON.parse(name) as string[]).filter(Boolean).join('.')} has more than one rule`);
  if (problems.length === 0 && columns.length + subset.length === 0) problems.push('it has no rules');
  if (problems.length > 0)
    throw new LongshoreError('CONFIG_INVALID', `cannot use ${path}: ${problems.join('; ')}`, {
      hint: 'docs/masking.md describes the rules',
    });
  return { columns, subset };
}

const PLAIN = ['null', 'hash', 'email', 'shuffle'] as const;
const KNOWN =
  'null, hash, email, fake name, fake first name, fake last name, shuffle, { hash: hex } and { constant: … }';

function ruleOfColumn(name: string, value: unknown, dialect: Dialect, problems: string[]): RuleOfColumn[] {
  const [found, ...more] = names(name, dialect, problems);
  const rule = ruleOf(value);
  if (rule === undefined) problems.push(`the rule of ${name} is none of ${KNOWN}`);
  if (more.length > 0) problems.push(`${name} names several columns`);
  return found === undefined || rule === undefined ? [] : [{ ...found, rule }];
}

function ruleOf(value: unknown): MaskRule | undefined {
  if (value === null) return { kind: 'null' };
  const plain = PLAIN.find((kind) => kind === value);
  if (plain !== undefined) return { kind: plain };
  if (value === 'fake name') return { kind: 'name', part: 'full' };
  if (value === 'fake first name') return { kind: 'name', part: 'first' };
  if (value === 'fake last name') return { kind: 'name', part: 'last' };
  if (typeof value !== 'object' || Array.isArray(value)) return undefined;
  const [[key, option] = [], ...others] = Object.entries(value);
  if (others.length > 0) return undefined;
  if (key === 'hash' && option === 'hex') return { kind: 'hash' };
  if (key === 'constant' && ['string', 'number', 'boolean'].includes(typeof option))
    return { kind: 'constant', value: String(option) };
  return undefined;
}

function ruleOfRows(name: string, value: unknown, dialect: Dialect, problems: string[]): RuleOfRows[] {
  // The name of a table, read as that of a column of it.
  const [found] = names(`${name}.x`, dialect, problems);
  const options = typeof value === 'string' ? { keep: value } : mapping(value, `subset of ${name}`, problems);
  const { keep, 'set null': setNull = [], ...others } = options as Record<string, unknown>;
  const columns: unknown[] = Array.isArray(setNull) ? setNull : [setNull];
  if (keep !== undefined && (typeof keep !== 'string' || keep.trim() === ''))
    problems.push(`keep of ${name} is no condition`);
  else if (Object.keys(others).length > 0)
    problems.push(
      `subset of ${name} has ${Object.keys(others).join(', ')}, which is neither keep nor set null`,
    );
  else if (columns.some((column) => typeof column !== 'string' || column === ''))
    problems.push(`set null of ${name} is no list of columns`);
  else if (keep === undefined && columns.length === 0) problems.push(`subset of ${name} says nothing`);
  else if (found !== undefined)
    return [{ ...found, keep, setNull: columns as string[] }].map(({ column: _, ...rule }) => rule);
  return [];
}

function names(
  text: string,
  dialect: Dialect,
  problems: string[],
): { schema: string | undefined; table: string; column: string }[] {
  const found = parseColumns(text, dialect);
  if (typeof found === 'string') {
    problems.push(found);
    return [];
  }
  return found.map(({ schema, table, column }) => ({
    schema: schema ?? (dialect === 'postgres' ? 'public' : undefined),
    table,
    column,
  }));
}

function mapping(value: unknown, what: string, problems: string[]): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  problems.push(`${what} is no mapping`);
  return {};
}

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
}
