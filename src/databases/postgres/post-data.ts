/**
 * The part of a dump's script that comes behind the rows, as steps: which of its statements may run at the same time.
 * Building indexes is most of a restore. Pure.
 *
 * | statement | locks | so that |
 * | --- | --- | --- |
 * | `CREATE INDEX` | shares its table | those of one table are built at the same time |
 * | `ADD CONSTRAINT … PRIMARY KEY`, `UNIQUE` | its index shares its table; then it has it alone, for a moment | it is built beside the indexes of its table |
 * | the same with more to it, `EXCLUDE` | has its table alone | those of different tables are |
 * | `ADD CONSTRAINT … FOREIGN KEY` | has both tables alone | those of different tables are; behind all that it may point to |
 * | `COMMENT ON INDEX`, `CLUSTER ON`, … | | it follows what stands before it |
 * | `SET`, `RESET` | | it is for every session |
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
  | { readonly kind: 'together'; readonly of: 'index' | 'key' | 'foreign key'; readonly work: LaterWork[] };

/** @param tables that have rows, as {@link tableKey} spells them */
export function laterSteps(statements: Iterable<string>, tables: ReadonlySet<string>): LaterStep[] {
  const steps: LaterStep[] = [];
  /** Of keys whose indexes are among those that are built: behind them. */
  let keys: LaterWork[] = [];
  let last: LaterWork | undefined;
  const push = (step: LaterStep): void => {
    if (keys.length > 0) steps.push({ kind: 'together', of: 'key', work: keys });
    keys = [];
    last = undefined;
    steps.push(step);
  };
  const together = (of: 'index' | 'foreign key', work: LaterWork): void => {
    const step = steps.at(-1);
    if (step?.kind === 'together' && step.of === of) step.work.push(work);
    else push({ kind: 'together', of, work: [work] });
    last = work;
  };
  for (const text of statements) {
    if (SETTING.test(text)) push({ kind: 'setting', text });
    else if (FOLLOWS.test(text) && last !== undefined) last.texts.push(text);
    else {
      const found = lockedBy(text);
      const isTheirs = found?.tables.every((table) => tables.has(table)) === true;
      const key = isTheirs ? keyByIndex(text) : undefined;
      if (key !== undefined) {
        together('index', { texts: [key.index], tables: found!.tables, alone: false });
        last = { texts: [key.constraint], tables: found!.tables, alone: true };
        keys.push(last);
      } else if (isTheirs) together(found!.of, { texts: [text], tables: found!.tables, alone: found!.alone });
      else push({ kind: 'single', text });
    }
  }
  if (keys.length > 0) steps.push({ kind: 'together', of: 'key', work: keys });
  return steps;
}

/** A key in two statements, of which the first takes the time; undefined for one that has more than columns. */
function keyByIndex(text: string): { readonly index: string; readonly constraint: string } | undefined {
  const match = PLAIN_KEY.exec(text);
  if (match === null) return undefined;
  const [, table = '', name = '', kind = '', columns = ''] = match;
  return {
    index: `CREATE UNIQUE INDEX ${name} ON ${table} USING btree (${columns})`,
    constraint: `ALTER TABLE ONLY ${table} ADD CONSTRAINT ${name} ${kind} USING INDEX ${name}`,
  };
}

export function tableKey({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return JSON.stringify([schema, name]);
}

/** Whether two of them must not be at work at the same time. */
export function inTheWay(one: LaterWork, other: LaterWork): boolean {
  return (one.alone || other.alone) && one.tables.some((table) => other.tables.includes(table));
}

const NAME = '(?:"(?:[^"]|"")*"|[^\\s."(),]+)';
const TABLE = `(${NAME}\\.${NAME})`;
const SETTING = /^(?:SET|RESET|SELECT pg_catalog\.set_config\()/;
const FOLLOWS = new RegExp(
  `^(?:COMMENT ON (?:INDEX|CONSTRAINT) |ALTER INDEX ${TABLE} ALTER COLUMN |` +
    `ALTER TABLE (?:ONLY )?${TABLE} (?:CLUSTER ON|REPLICA IDENTITY USING INDEX) )`,
);
const INDEX = new RegExp(`^CREATE (?:UNIQUE )?INDEX ${NAME} ON ${TABLE} USING `);
const KEY = new RegExp(
  `^ALTER TABLE ONLY ${TABLE}\\s+ADD CONSTRAINT ${NAME} (?:PRIMARY KEY|UNIQUE|EXCLUDE)\\b`,
);
const PLAIN_KEY = new RegExp(
  `^ALTER TABLE ONLY ${TABLE}\\s+ADD CONSTRAINT (${NAME}) (PRIMARY KEY|UNIQUE) \\((${NAME}(?:, ${NAME})*)\\)$`,
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
