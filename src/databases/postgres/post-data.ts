/**
 * The part of a dump's script that comes behind the rows, as steps: which of its statements may run at the same time.
 * Building indexes is most of a restore. Pure.
 *
 * | statement | locks | so that |
 * | --- | --- | --- |
 * | `CREATE INDEX` | shares its table | those of one table are built at the same time |
 * | `ADD CONSTRAINT … PRIMARY KEY`, `UNIQUE`, `EXCLUDE` | has its table alone | those of different tables are |
 * | `ADD CONSTRAINT … FOREIGN KEY` | has both tables alone | those of different tables are; behind all that it may point to |
 * | `COMMENT ON INDEX`, `CLUSTER ON`, … | | it follows what stands before it |
 * | `SET` | | it is for every session |
 * | anything else, also about a table that has no rows of its own | | it runs alone, in its place |
 */

import { namesIn } from './dump-content.ts';

export interface LaterWork {
  /** In turn. */
  readonly texts: string[];
  /** As {@link tableKey} spells them. */
  readonly tables: readonly string[];
  /** Whether nothing else may be at work on these tables meanwhile. */
  readonly alone: boolean;
}

export type LaterStep =
  | { readonly kind: 'setting'; readonly text: string }
  | { readonly kind: 'single'; readonly text: string }
  | { readonly kind: 'together'; readonly of: 'index' | 'foreign key'; readonly work: LaterWork[] };

/** @param tables that have rows, as {@link tableKey} spells them */
export function laterSteps(statements: Iterable<string>, tables: ReadonlySet<string>): LaterStep[] {
  const steps: LaterStep[] = [];
  for (const text of statements) {
    const last = steps.at(-1);
    if (SETTING.test(text)) steps.push({ kind: 'setting', text });
    else if (FOLLOWS.test(text) && last?.kind === 'together') last.work.at(-1)!.texts.push(text);
    else {
      const found = lockedBy(text);
      if (found === undefined || !found.tables.every((table) => tables.has(table)))
        steps.push({ kind: 'single', text });
      else {
        const work = { texts: [text], tables: found.tables, alone: found.alone };
        if (last?.kind === 'together' && last.of === found.of) last.work.push(work);
        else steps.push({ kind: 'together', of: found.of, work: [work] });
      }
    }
  }
  return steps;
}

export function tableKey({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return JSON.stringify([schema, name]);
}

/** Whether two of them must not be at work at the same time. */
export function inTheWay(one: LaterWork, other: LaterWork): boolean {
  return (one.alone || other.alone) && one.tables.some((table) => other.tables.includes(table));
}

const NAME = '(?:"(?:[^"]|"")*"|[^\\s."(]+)';
const TABLE = `(${NAME}\\.${NAME})`;
const SETTING = /^(?:SET|SELECT pg_catalog\.set_config\()/;
const FOLLOWS = new RegExp(
  `^(?:COMMENT ON (?:INDEX|CONSTRAINT) |ALTER INDEX ${TABLE} ALTER COLUMN |` +
    `ALTER TABLE (?:ONLY )?${TABLE} (?:CLUSTER ON|REPLICA IDENTITY USING INDEX) )`,
);
const INDEX = new RegExp(`^CREATE (?:UNIQUE )?INDEX ${NAME} ON ${TABLE} USING `);
const KEY = new RegExp(
  `^ALTER TABLE ONLY ${TABLE}\\s+ADD CONSTRAINT ${NAME} (?:PRIMARY KEY|UNIQUE|EXCLUDE)\\b`,
);
const FOREIGN_KEY = new RegExp(
  `^ALTER TABLE ONLY ${TABLE}\\s+ADD CONSTRAINT ${NAME} FOREIGN KEY .*? REFERENCES ${TABLE}\\(`,
);

function lockedBy(
  text: string,
): { readonly of: 'index' | 'foreign key'; readonly tables: string[]; readonly alone: boolean } | undefined {
  for (const [pattern, of, alone] of [
    [INDEX, 'index', false],
    [KEY, 'index', true],
    [FOREIGN_KEY, 'foreign key', true],
  ] as const) {
    const match = pattern.exec(text);
    if (match !== null) return { of, alone, tables: match.slice(1).map(keyIn) };
  }
  return undefined;
}

/** `public."a b"` */
function keyIn(text: string): string {
  const [schema = '', name = ''] = namesIn(text);
  return tableKey({ schema, name });
}
