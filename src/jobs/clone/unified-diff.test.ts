import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unifiedDiff } from './unified-diff.ts';

test('as diff -u writes it', () => {
  const left = Array.from({ length: 20 }, (_, i) => `line ${i + 1}\n`).join('');
  const right = left.replace('line 3\n', 'line three\n').replace('line 18\n', '');
  expect(unifiedDiff(left, right, ['a', 'b'])).toBe(`--- a
+++ b
@@ -1,6 +1,6 @@
 line 1
 line 2
-line 3
+line three
 line 4
 line 5
 line 6
@@ -15,6 +15,5 @@
 line 15
 line 16
 line 17
-line 18
 line 19
 line 20`);
  expect(unifiedDiff('', 'a\n', ['/dev/null', 'b'])).toBe('--- /dev/null\n+++ b\n@@ -0,0 +1 @@\n+a');
  expect(unifiedDiff('a', 'a\n', ['a', 'b'])).toBe(
    '--- a\n+++ b\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a',
  );
  expect(unifiedDiff('a\n', 'a\n', ['a', 'b'])).toBe('');
});

/** The other side, made from this one and the difference. */
function applied(left: string, diff: string): string {
  const lines = left.split('\n').slice(0, -1);
  const result: string[] = [];
  let at = 0;
  for (const line of diff.split('\n').slice(2)) {
    const head = /^@@ -(\d+)(?:,(\d+))? /.exec(line);
    if (head !== null) {
      const from = Number(head[1]) - (head[2] === '0' ? 0 : 1);
      result.push(...lines.slice(at, from));
      at = from;
    } else if (line.startsWith('+')) result.push(line.slice(1));
    else {
      expect(lines[at]).toBe(line.slice(1));
      if (line.startsWith(' ')) result.push(lines[at]!);
      at++;
    }
  }
  return [...result, ...lines.slice(at), ''].join('\n');
}

test('whatever the texts, one is made of the other and the difference', () => {
  const text = fc
    .array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 40 })
    .map((lines) => [...lines, ''].join('\n'));
  fc.assert(
    fc.property(text, text, (left, right) => {
      fc.pre(left !== right);
      expect(applied(left, unifiedDiff(left, right, ['a', 'b']))).toBe(right);
    }),
  );
});

test('texts that have nothing in common are no work without end', () => {
  const numbers = (from: number) => Array.from({ length: 20_000 }, (_, i) => `${from + i}\n`).join('');
  const diff = unifiedDiff(numbers(0), numbers(1_000_000), ['a', 'b']);
  expect(diff.split('\n')).toHaveLength(40_003);
});
