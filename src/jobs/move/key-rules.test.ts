import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyRules, parseKeyRule } from './key-rules.ts';

const prefix = (from: string, to: string) => ({ kind: 'prefix', from, to }) as const;
const pattern = (source: string, replacement: string) =>
  ({ kind: 'pattern', pattern: source, replacement }) as const;

test('a prefix becomes another prefix', () => {
  const rules = new KeyRules([prefix('image/', 'avatar/')]);
  expect(rules.targetOf('image/avatar-1.png')).toBe('avatar/avatar-1.png');
  expect(rules.targetOf('images/avatar-1.png')).toBeUndefined();
  expect(rules.sourceOf('avatar/avatar-1.png')).toBe('image/avatar-1.png');
  expect(rules.injective).toBe(true);
});

test('a pattern matches whole keys and maps captures', () => {
  const rules = new KeyRules([pattern('image/(?<id>\\d+)/(.*)', 'avatar/$<id>-$2')]);
  expect(rules.targetOf('image/7/a.png')).toBe('avatar/7-a.png');
  expect(rules.targetOf('x/image/7/a.png')).toBeUndefined();
  expect(rules.sourcePrefixes).toEqual(['image/']);
  expect(rules.targetPrefixes).toEqual(['avatar/']);
  expect(rules.injective).toBe(false);
  expect(rules.sourceOf('avatar/7-a.png')).toBeUndefined();
});

test('a quantifier takes the character before it out of the literal head', () => {
  expect(new KeyRules([pattern('ab*', 'x')]).sourcePrefixes).toEqual(['a']);
  expect(new KeyRules([pattern('a\\.b+', 'x')]).sourcePrefixes).toEqual(['a.']);
  expect(new KeyRules([pattern('a|b', 'x')]).sourcePrefixes).toEqual(['']);
});

test('the first rule that matches decides, and prefixes hold each other', () => {
  const rules = new KeyRules([prefix('a/b/', 'x/'), prefix('a/', 'y/')]);
  expect(rules.targetOf('a/b/1')).toBe('x/1');
  expect(rules.targetOf('a/c')).toBe('y/c');
  expect(rules.sourcePrefixes).toEqual(['a/']);
  expect(rules.sourceOf('y/b/1')).toBeUndefined();
});

test('rules whose targets overlap are not known to be injective', () => {
  expect(new KeyRules([prefix('a/', 'x/'), prefix('b/', 'x/')]).injective).toBe(false);
  expect(new KeyRules([prefix('a/', 'x/'), prefix('b/', 'x/y/')]).injective).toBe(false);
  expect(new KeyRules([prefix('a/', 'x/'), prefix('b/', 'y/')]).injective).toBe(true);
  expect(new KeyRules([prefix('a/', 'x/'), pattern('b/(.*)', 'y/$1')]).injective).toBe(false);
});

test('mistakes are named', () => {
  expect(() => new KeyRules([pattern('(', 'x')])).toThrow(/regular expression/);
  expect(() => new KeyRules([pattern('a(b)', '$2')])).toThrow(/\$2/);
  expect(() => new KeyRules([pattern('a(b)', '$<no>')])).toThrow(/\$<no>/);
});

test('keys that cannot be stored', () => {
  const rules = new KeyRules([prefix('a', 'é')]);
  expect(rules.check('a', '')).toBe('empty');
  expect(rules.check('a', 'é'.repeat(513))).toBe('too-long');
  expect(rules.check('a', 'é'.repeat(512))).toBeUndefined();
});

test('alternatives in a group or a class leave the head before them', () => {
  const head = (source: string) => new KeyRules([pattern(source, 'x')]).sourcePrefixes;
  expect(head('image/(.*)\\.(png|jpg)')).toEqual(['image/']);
  expect(head('image/[|](.*)')).toEqual(['image/']);
  expect(head('image\\|(.*)')).toEqual(['image|']);
  expect(head('image/[)(](a)|b')).toEqual(['']);
});

test('what only holds together inside a group is not a pattern', () => {
  expect(() => new KeyRules([pattern('a)|(?:b', 'x')])).toThrow(/regular expression/);
});

test('a rule as the command line has it', () => {
  expect(parseKeyRule('image/(.*)=>avatar/$1')).toEqual(pattern('image/(.*)', 'avatar/$1'));
  expect(parseKeyRule('a=>b=>c')).toEqual(pattern('a', 'b=>c'));
  for (const wrong of ['image/(.*)', '(=>x', 'a=>$1']) {
    expect(() => parseKeyRule(wrong)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  }
});

const part = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'é', '.'), maxLength: 4 });

test('rules that are injective can be turned around, and every key stands under their prefixes', () => {
  const ruleSet = fc.array(
    fc.tuple(part, part).map(([from, to]) => prefix(from, to)),
    { minLength: 1, maxLength: 4 },
  );
  fc.assert(
    fc.property(ruleSet, fc.array(part, { minLength: 1, maxLength: 20 }), (list, keys) => {
      const rules = new KeyRules(list);
      const seen = new Map<string, string>();
      for (const key of keys) {
        const target = rules.targetOf(key);
        if (target === undefined) continue;
        expect(rules.sourcePrefixes.some((head) => key.startsWith(head))).toBe(true);
        expect(rules.targetPrefixes.some((head) => target.startsWith(head))).toBe(true);
        if (!rules.injective) continue;
        expect(seen.get(target) ?? key).toBe(key);
        seen.set(target, key);
        expect(rules.sourceOf(target)).toBe(key);
      }
    }),
  );
});
