/** What a user's rights hide: triggers and routines are not there for who may not see them, and a dump leaves them out in silence. */

/** Kinds of objects, and the rights any of which lets them be seen. The dump itself fails where events or views may not be read. */
const NEEDED = {
  triggers: /\bTRIGGER\b/,
  'procedures and functions': /\b(EXECUTE|ALTER ROUTINE|SHOW_ROUTINE)\b/,
} as const;

/**
 * @param grants what `SHOW GRANTS` lists for the user of the connection
 * @returns the kinds that may be there without being seen
 */
export function unseenObjects(grants: readonly string[], database: string): string[] {
  const rights = grants.flatMap((grant) => rightsOn(grant, database) ?? []);
  return Object.entries(NEEDED)
    .filter(([, needed]) => !rights.some((text) => /^ALL PRIVILEGES$/.test(text) || needed.test(text)))
    .map(([kind]) => kind)
    .filter((kind) => kind === 'triggers' || !readsAllRoutines(grants));
}

/**
 * Whether tables may be there without being seen: who has rights on some tables alone is not shown the others, and a dump
 * would leave them out in silence. What a role of MySQL gives is not listed.
 */
export function mayHideTables(grants: readonly string[], database: string): boolean {
  const rights = grants.flatMap((grant) => rightsOn(grant, database) ?? []);
  const byRole = grants.some((grant) => /^GRANT `[^`]*`@`[^`]*`.* TO /.test(grant));
  return !byRole && !rights.some((text) => /^ALL PRIVILEGES$|\bSELECT\b/.test(text));
}

/** Before MySQL 8 and in MariaDB, who may read the table of routines sees all of them; in MySQL 8 who may read everything. */
function readsAllRoutines(grants: readonly string[]): boolean {
  return grants.some((grant) =>
    /^GRANT (?:.*\bSELECT\b.*|ALL PRIVILEGES) ON (?:\*\.\*|`?mysql`?\.(?:\*|`?proc`?)) TO /.test(grant),
  );
}

/** The rights that a line gives on the whole database or on everything; undefined where it is about something else. */
function rightsOn(grant: string, database: string): string | undefined {
  const parts = /^GRANT (.*?) ON (?:(\*)|`((?:[^`]|``)*)`)\.\* TO /.exec(grant);
  if (parts === null) return undefined;
  const [, rights, everything, pattern] = parts;
  if (everything !== undefined || matches(pattern!.replaceAll('``', '`'), database)) return rights;
  return undefined;
}

/** `_` and `%` stand for others in the name of a database that rights are given on, unless a backslash is before them. */
function matches(pattern: string, database: string): boolean {
  const source = pattern.replace(/\\?[\s\S]/g, (part) => {
    if (part === '%') return '.*';
    if (part === '_') return '.';
    return part.slice(-1).replace(/[.*+?^${}()|[\]\\]/, '\\$&');
  });
  return new RegExp(`^${source}$`, 'su').test(database);
}
