/** Whether a rule fits a column, and how long what it makes may be. */

import {
  type CatalogueColumn,
  type CatalogueTable,
  tableName,
} from '../../../databases/masking/catalogue.ts';
import type { ColumnRule } from '../../../databases/masking/work.ts';
import type { KeyGroup } from './key-groups.ts';
import type { MaskRule } from './rules.ts';

const HASH_LENGTH = 32;
/** So many hexadecimal digits keep a million values apart, with one chance in five hundred that two are the same. */
const UNIQUE_LENGTH_MIN = 12;
const EMAIL_DIGITS = 20;
/** Of `u@example.com`. */
const EMAIL_REST = 13;

/** @returns what does not fit, as the end of a sentence that begins with the column */
export function fitRule(
  rule: MaskRule,
  column: CatalogueColumn,
  table: CatalogueTable,
  group: KeyGroup | undefined,
): ColumnRule | string {
  const never = neverMasked(column, table);
  if (never !== undefined) return never;
  if (rule.kind === 'null') {
    if (column.notNull) return 'may not be NULL';
    return group?.referred ? 'is referred to by a foreign key, and cannot be null' : { kind: 'null' };
  }
  if (rule.kind === 'hash') return fitHash(column, group);
  if (group !== undefined)
    return `is part of a foreign key, which only hash${group.referred ? '' : ' and null'} keeps`;
  if (rule.kind === 'email') return fitEmail(column);
  if (column.unique)
    return `tells rows apart, which ${rule.kind === 'name' ? 'a fake name' : rule.kind} does not keep: hash and email do`;
  if (rule.kind === 'name') {
    if (column.holds !== 'text') return `is of type ${column.type}, and a fake name is text`;
    return { kind: 'name', part: rule.part, lengthMax: column.lengthMax };
  }
  if (rule.kind === 'constant' && column.lengthMax !== undefined && [...rule.value].length > column.lengthMax)
    return `holds ${column.lengthMax} characters, and the constant is longer`;
  if (rule.kind === 'shuffle' && table.schema === undefined && table.primaryKey.length === 0)
    return 'cannot be shuffled: its table has no primary key';
  return rule.kind === 'constant' ? { kind: 'constant', value: rule.value } : { kind: 'shuffle' };
}

function neverMasked(column: CatalogueColumn, table: CatalogueTable): string | undefined {
  if (table.notUpdated !== undefined) return `cannot be masked: ${table.notUpdated}`;
  if (column.generated) return 'is generated: mask the columns that it is made from';
  if (column.identity) return 'is an identity, which nobody but the server gives values to';
  if (column.partitions) return 'says which partition a row is in, and cannot be masked';
  return undefined;
}

function fitHash(column: CatalogueColumn, group: KeyGroup | undefined): ColumnRule | string {
  const all = group?.columns ?? [];
  for (const other of all) {
    const never = other.column === column ? undefined : neverMasked(other.column, other.table);
    if (never !== undefined)
      return `has the values of ${tableName(other.table)}.${other.column.name}, which ${never}`;
    if (other.column.holds !== column.holds)
      return `has the values of ${tableName(other.table)}.${other.column.name}, which is of another type`;
  }
  if (column.holds === 'uuid') return { kind: 'hash', length: HASH_LENGTH };
  if (column.holds !== 'text') return `is of type ${column.type}, and a hash is text or a uuid`;
  const limits = [HASH_LENGTH, column.lengthMax, ...all.map((other) => other.column.lengthMax)];
  const length = Math.min(...limits.filter((limit) => limit !== undefined));
  const unique = column.unique || group !== undefined;
  if (unique && length < UNIQUE_LENGTH_MIN)
    return `tells rows apart, and a hash of ${length} characters is too short for it: ${UNIQUE_LENGTH_MIN} are needed`;
  return { kind: 'hash', length };
}

function fitEmail(column: CatalogueColumn): ColumnRule | string {
  if (column.holds !== 'text') return `is of type ${column.type}, and an address is text`;
  const digits = Math.min(EMAIL_DIGITS, (column.lengthMax ?? Number.POSITIVE_INFINITY) - EMAIL_REST);
  const least = column.unique ? UNIQUE_LENGTH_MIN : 1;
  if (digits < least)
    return `holds ${column.lengthMax} characters, and an address needs ${EMAIL_REST + least}`;
  return { kind: 'email', digits };
}
