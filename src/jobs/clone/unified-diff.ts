/** What changed between two texts, as `diff -u` shows it. */

const CONTEXT = 3;
/** Of lines that differ: beyond it everything counts as changed. */
const EDITS_MAX = 500;

interface Line {
  readonly sign: ' ' | '-' | '+';
  readonly text: string;
}

/** Empty where they are equal. @param names of the two, for the head */
export function unifiedDiff(left: string, right: string, names: readonly [string, string]): string {
  if (left === right) return '';
  const lines = editsBetween(linesOf(left), linesOf(right));
  const hunks: string[] = [`--- ${names[0]}`, `+++ ${names[1]}`];
  for (const [from, to] of spansOf(lines)) {
    const before = lines.slice(0, from);
    const hunk = lines.slice(from, to);
    const count = (some: readonly Line[], sign: '-' | '+') =>
      some.filter((line) => line.sign !== sign).length;
    hunks.push(
      `@@ -${place(count(before, '+'), count(hunk, '+'))} +${place(count(before, '-'), count(hunk, '-'))} @@`,
    );
    hunks.push(...hunk.map(({ sign, text }) => sign + text));
  }
  return hunks.join('\n');
}

/** An empty span stands after the line that it follows. */
const place = (before: number, lines: number): string =>
  `${lines === 0 ? before : before + 1}${lines === 1 ? '' : `,${lines}`}`;

/** A last line without an end is shown as what it is. */
function linesOf(text: string): string[] {
  const lines = text.split('\n');
  const last = lines.pop()!;
  return last === '' ? lines : [...lines, `${last}\n\\ No newline at end of file`];
}

/** Stretches of the lines that changed, with those around them. */
function spansOf(lines: readonly Line[]): [number, number][] {
  const spans: [number, number][] = [];
  for (const [i, { sign }] of lines.entries()) {
    if (sign === ' ') continue;
    const [from, to] = [Math.max(0, i - CONTEXT), Math.min(lines.length, i + CONTEXT + 1)];
    const last = spans.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = to;
    else spans.push([from, to]);
  }
  return spans;
}

/** The shortest way from one to the other, by E. Myers' algorithm (1986). */
function editsBetween(left: readonly string[], right: readonly string[]): Line[] {
  const furthest = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  for (let edits = 0; edits <= Math.min(left.length + right.length, EDITS_MAX); edits++) {
    trace.push(new Map(furthest));
    for (let k = -edits; k <= edits; k += 2) {
      const isDown = k === -edits || (k !== edits && furthest.get(k - 1)! < furthest.get(k + 1)!);
      let x = isDown ? furthest.get(k + 1)! : furthest.get(k - 1)! + 1;
      while (x < left.length && x - k < right.length && left[x] === right[x - k]) x++;
      furthest.set(k, x);
      if (x >= left.length && x - k >= right.length) return wayBack(trace, left, right);
    }
  }
  return [
    ...left.map((text) => ({ sign: '-', text }) as const),
    ...right.map((text) => ({ sign: '+', text }) as const),
  ];
}

function wayBack(
  trace: readonly Map<number, number>[],
  left: readonly string[],
  right: readonly string[],
): Line[] {
  const lines: Line[] = [];
  let [x, y] = [left.length, right.length];
  for (let edits = trace.length - 1; edits >= 0; edits--) {
    const furthest = trace[edits]!;
    const k = x - y;
    const isDown = k === -edits || (k !== edits && furthest.get(k - 1)! < furthest.get(k + 1)!);
    const previousX = furthest.get(isDown ? k + 1 : k - 1)!;
    const previousY = previousX - (isDown ? k + 1 : k - 1);
    while (x > Math.max(previousX, 0) && y > Math.max(previousY, 0)) {
      lines.push({ sign: ' ', text: left[--x]! });
      y--;
    }
    if (edits === 0) break;
    if (isDown) lines.push({ sign: '+', text: right[--y]! });
    else lines.push({ sign: '-', text: left[--x]! });
  }
  return lines.reverse();
}
