/** What Liquibase writes, read: the change sets that ran, and why it failed. */

/** A change set, as Liquibase names it: `file::id::author`. */
export interface RanChangeSet {
  readonly what: string;
  readonly tookMs: number;
}

/** Undefined of every other line. */
export function ranChangeSet(line: string): RanChangeSet | undefined {
  const found = /change ?set (.+::.+::.+) ran successfully in (\d+) ?ms/i.exec(line);
  return found === null ? undefined : { what: found[1]!, tookMs: Number(found[2]) };
}

export interface LiquibaseFailure {
  /** That failed; undefined where none did. */
  readonly changeSet: string | undefined;
  /** One line, without SQL: statements hold values. */
  readonly reason: string;
}

/** @param said the end of what it wrote */
export function failureOf(said: string): LiquibaseFailure {
  const text = said.replaceAll('\r\n', '\n');
  const changeSet = /Migration failed for change ?set (.+::.+::.+?):?\s*\n/i.exec(text)?.[1];
  const reason =
    (changeSet === undefined ? undefined : lineAfter(text, 'Reason: ')) ??
    validation(text) ??
    lineAfter(text, 'Unexpected error running Liquibase: ') ??
    lineAfter(text, 'Error parsing ', true) ??
    lineAfter(text, 'ERROR: ', true) ??
    lastLine(text);
  return { changeSet, reason: withoutSql(reason) };
}

/** The list of what is wrong, which stands on lines of its own. */
function validation(text: string): string | undefined {
  const found = /Validation Failed:[ \t]*\n((?:[ \t]+\S.*\n?)+)/.exec(text)?.[1];
  if (found === undefined) return undefined;
  const lines = found.split('\n').flatMap((line) => line.trim() || []);
  return `validation failed: ${lines.join(', ')}`;
}

function lineAfter(text: string, mark: string, withMark = false): string | undefined {
  const start = text.lastIndexOf(mark);
  if (start < 0) return undefined;
  const rest = text.slice(withMark ? start : start + mark.length);
  const line = rest.split('\n', 1)[0]!.trim();
  if (line === '') return undefined;
  // A parser says on a line of its own where it stopped.
  const place = /^\s+in .*(line \d+, column \d+)/m.exec(rest)?.[1];
  return place === undefined ? line : `${line} (${place})`;
}

function lastLine(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !/^\s+(at |\.\.\.)/.test(line));
  return lines.at(-1)?.trim() ?? 'it said nothing';
}

function withoutSql(reason: string): string {
  return reason.replace(/\s*\[Failed SQL:.*$/s, '').replace(/^(?:[\w.$]+(?:Exception|Error): )+/, '');
}
