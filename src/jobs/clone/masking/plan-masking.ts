/** Lays masking rules on what a database has: what each column becomes, and over which references rows go. */

import { closestNames, didYouMean } from '../../../databases/closest-names.ts';
import {
  type CatalogueTable,
  type ForeignKey,
  type MaskCatalogue,
  tableName,
} from '../../../databases/masking/catalogue.ts';
import type { MaskedColumn, MaskWork, SubsetRule } from '../../../databases/masking/work.ts';
import { LongshoreError } from '../../../errors.ts';
import { fitRule } from './fit-rule.ts';
import { KeyGroups } from './key-groups.ts';
import type { MaskingRules } from './rules.ts';

/** @throws CONFIG_INVALID, naming everything that does not fit */
export function planMasking(rules: MaskingRules, catalogue: MaskCatalogue): MaskWork {
  const problems: string[] = [];
  const masked = masks(rules, catalogue, problems);
  const subset = rows(rules, catalogue, problems);
  const cutting = cuts(rules, catalogue, problems);
  const spreading = catalogue.foreignKeys.filter((key) => !cutting.includes(key));
  const rootOf = rootsOf(catalogue);
  const losing = reached(
    subset.filter(({ keep }) => keep !== undefined).map(({ table }) => table.root),
    spreading,
    rootOf,
  );
  for (const table of catalogue.tables) {
    if (losing.has(table.root) && table.notDeleted !== undefined)
      problems.push(`rows of ${tableName(table)} would go: ${table.notDeleted}`);
  }
  const cut = cutting.filter((key) => losing.has(rootOf.get(key.parent)!));
  for (const key of cut) {
    const table = catalogue.tables.find(({ id }) => id === key.child)!;
    if (table.notUpdated !== undefined)
      problems.push(`references of ${tableName(table)} would be cut: ${table.notUpdated}`);
  }
  if (problems.length > 0) {
    throw new LongshoreError('CONFIG_INVALID', `cannot mask: ${problems.join('; ')}`, {
      hint: 'docs/masking.md says which rule fits which column',
    });
  }
  const changedRoots = new Set([
    ...losing,
    ...masked.map(({ table }) => table.root),
    ...cut.map((key) => rootOf.get(key.child)!),
  ]);
  const changed = catalogue.tables.filter(({ id }) => changedRoots.has(id));
  const touches = (key: ForeignKey) =>
    changedRoots.has(rootOf.get(key.child)!) || changedRoots.has(rootOf.get(key.parent)!);
  return {
    masked,
    subset: subset.filter(({ keep }) => keep !== undefined),
    spreading: spreading.filter((key) => losing.has(rootOf.get(key.parent)!)),
    cutting: cut,
    changed,
    losing: changed.filter(({ id }) => losing.has(id)),
    partitioned: new Set(catalogue.tables.flatMap(({ id, isPartitioned }) => (isPartitioned ? id : []))),
    foreignKeys: catalogue.foreignKeys.filter(touches),
  };
}

function masks(rules: MaskingRules, catalogue: MaskCatalogue, problems: string[]): MaskWork['masked'] {
  const groups = new KeyGroups(catalogue);
  const found = rules.columns.flatMap(({ rule, ...name }) => {
    const table = tableOf(name, catalogue, problems);
    if (table === undefined) return [];
    const column = table.columns.find((candidate) => candidate.name === name.column);
    if (column === undefined) {
      const close = closestNames(
        name.column,
        table.columns.map((candidate) => candidate.name),
      );
      problems.push(`${tableName(table)} has no column ${name.column}${hint(close)}`);
      return [];
    }
    return [{ table, column, rule }];
  });
  // A key that is masked on one side is masked on the other.
  const named = new Set(found.map(({ table, column }) => `${table.id} ${column.name}`));
  const others = found
    .filter(({ rule }) => rule.kind === 'hash')
    .flatMap(({ table, column, rule }) => groups.others(table, column).map((other) => ({ ...other, rule })))
    .filter(({ table, column }) => {
      const name = `${table.id} ${column.name}`;
      return !named.has(name) && Boolean(named.add(name));
    });
  const all = [...found, ...others];
  const columnsOf = new Map<CatalogueTable, MaskedColumn[]>();
  for (const { table, column, rule } of all) {
    const where = `${tableName(table)}.${column.name}`;
    const twice = all.find(
      (other) =>
        other.table !== table && other.table.stored.includes(table.id) && other.column.name === column.name,
    );
    const fit =
      twice === undefined
        ? fitRule(rule, column, table, groups.of(table, column))
        : `is masked by the rule of ${tableName(twice.table)} already`;
    if (typeof fit === 'string') problems.push(`${where} ${fit}`);
    else columnsOf.set(table, [...(columnsOf.get(table) ?? []), { column, rule: fit }]);
  }
  return [...columnsOf].map(([table, columns]) => ({ table, columns }));
}

function rows(rules: MaskingRules, catalogue: MaskCatalogue, problems: string[]): SubsetRule[] {
  return rules.subset.flatMap((rule) => {
    const table = tableOf(rule, catalogue, problems);
    return table === undefined ? [] : [{ table, keep: rule.keep }];
  });
}

/** The references that are set to NULL where the row that they refer to goes. */
function cuts(rules: MaskingRules, catalogue: MaskCatalogue, problems: string[]): ForeignKey[] {
  return rules.subset.flatMap((rule) => {
    const table = tableOf(rule, catalogue, []);
    if (table === undefined) return [];
    return rule.setNull.flatMap((name) => {
      const where = `${tableName(table)}.${name}`;
      const keys = catalogue.foreignKeys.filter(
        (key) => key.child === table.id && key.childColumns.includes(name),
      );
      if (keys.length === 0) problems.push(`set null: ${where} is no column of a foreign key`);
      const column = table.columns.find((candidate) => candidate.name === name);
      if (column?.notNull) problems.push(`set null: ${where} may not be NULL`);
      return keys;
    });
  });
}

function tableOf(
  { schema, table }: { readonly schema: string | undefined; readonly table: string },
  catalogue: MaskCatalogue,
  problems: string[],
): CatalogueTable | undefined {
  const found = catalogue.tables.find(
    (candidate) => candidate.name === table && (schema === undefined || candidate.schema === schema),
  );
  const wanted = schema === undefined ? table : `${schema}.${table}`;
  if (found === undefined)
    problems.push(
      `there is no table ${wanted}${hint(closestNames(wanted, catalogue.tables.map(tableName)))}`,
    );
  else if (found.isPartition) {
    const root = catalogue.tables.find(({ id }) => id === found.root)!;
    problems.push(`${wanted} is a partition: give the rule to ${tableName(root)}`);
    return undefined;
  }
  return found;
}

function hint(close: readonly string[]): string {
  const text = didYouMean(close);
  return text === undefined ? '' : ` (${text})`;
}

function rootsOf(catalogue: MaskCatalogue): ReadonlyMap<string, string> {
  return new Map(catalogue.tables.map(({ id, root }) => [id, root]));
}

/** Roots of all tables that may lose rows when those do. */
function reached(
  first: readonly string[],
  keys: readonly ForeignKey[],
  rootOf: ReadonlyMap<string, string>,
): ReadonlySet<string> {
  const roots = new Set(first);
  for (const root of roots) {
    // The set grows while it is walked.
    for (const key of keys) if (rootOf.get(key.parent) === root) roots.add(rootOf.get(key.child)!);
  }
  return roots;
}
