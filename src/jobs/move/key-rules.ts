/** Maps source keys to target keys: a prefix for a prefix, or a pattern with captures. */

import { LongshoreError } from '../../errors.ts';

export interface PrefixRule {
  readonly kind: 'prefix';
  readonly from: string;
  readonly to: string;
}

export interface PatternRule {
  readonly kind: 'pattern';
  /** A JavaScript regular expression that must match the whole key; flags `su`. */
  readonly pattern: string;
  /** `$1`, `$<name>`, `$$` as in `String.prototype.replace`. */
  readonly replacement: string;
  /** Only keys under this prefix match. */
  readonly under?: string;
}

export type KeyRule = PrefixRule | PatternRule;

/** What makes a target key impossible. */
export type KeyProblem = 'too-long' | 'empty';

const KEY_BYTES_MAX = 1024;

/**
 * Reads a rule as the command line has it: `PATTERN=>REPLACEMENT`, cut at the first `=>`.
 * @throws CONFIG_INVALID
 */
export function parseKeyRule(text: string): KeyRule {
  const at = text.indexOf('=>');
  if (at < 0) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read "${text}" as a rule`, {
      hint: 'write it as PATTERN=>REPLACEMENT',
    });
  }
  const rule: PatternRule = {
    kind: 'pattern',
    pattern: text.slice(0, at),
    replacement: text.slice(at + 2),
  };
  compile(rule);
  return rule;
}

/**
 * A rule as settings have it: a prefix is relative to `from` and `to`; a pattern matches whole keys, of which only
 * those under `from` are meant, and leads to keys under `to`.
 */
export type SettingsRule =
  | { readonly prefix: string; readonly to: string }
  | { readonly pattern: string; readonly replacement: string };

/**
 * The rules of a move from one prefix to another; without any, the one prefix becomes the other.
 * @throws CONFIG_INVALID for a pattern that matches nothing under `from`, or leads out of `to`
 */
export function settingsRules(rules: readonly SettingsRule[], from: string, to: string): KeyRules {
  if (rules.length === 0) return new KeyRules([{ kind: 'prefix', from, to }]);
  return new KeyRules(
    rules.map((rule) =>
      'prefix' in rule
        ? { kind: 'prefix', from: from + rule.prefix, to: to + rule.to }
        : patternRule(rule.pattern, rule.replacement, from, to),
    ),
  );
}

function patternRule(pattern: string, replacement: string, from: string, to: string): PatternRule {
  const rule = `the rule "${pattern}=>${replacement}"`;
  const head = literalHead(pattern);
  if (!head.startsWith(from) && !from.startsWith(head)) {
    throw new LongshoreError('CONFIG_INVALID', `${rule} matches no key under "${from}"`, {
      hint: 'a pattern matches whole keys, with the prefix of --from',
    });
  }
  if (!targetHead(replacement).startsWith(to)) {
    throw new LongshoreError('CONFIG_INVALID', `${rule} leads out of "${to}"`, {
      hint: 'begin the replacement with the prefix of --to, or name a shorter one with --to',
    });
  }
  return { kind: 'pattern', pattern, replacement, under: from };
}

/** The rules of a move, in order; the first that matches decides. */
export class KeyRules {
  readonly rules: readonly KeyRule[];
  /** Prefixes that together hold every source key, none containing another; `['']` for any. */
  readonly sourcePrefixes: readonly string[];
  /** The same for target keys. */
  readonly targetPrefixes: readonly string[];
  /** Whether it is certain that no two source keys have one target. */
  readonly injective: boolean;
  readonly #compiled: readonly ((key: string) => string | undefined)[];

  /** @throws CONFIG_INVALID for a pattern or a replacement that cannot be used */
  constructor(rules: readonly KeyRule[]) {
    this.rules = rules;
    this.#compiled = rules.map(compile);
    this.sourcePrefixes = outermost(
      rules.map((rule) => (rule.kind === 'prefix' ? rule.from : sourceHead(rule))),
    );
    this.targetPrefixes = outermost(
      rules.map((rule) => (rule.kind === 'prefix' ? rule.to : targetHead(rule.replacement))),
    );
    const targets = rules.map((rule) => (rule.kind === 'prefix' ? rule.to : undefined));
    this.injective = targets.every(
      (to, i) =>
        to !== undefined &&
        targets.every((other, j) => i === j || (other !== undefined && !other.startsWith(to))),
    );
  }

  /** Where a key goes; undefined when no rule matches. */
  targetOf(sourceKey: string): string | undefined {
    for (const map of this.#compiled) {
      const target = map(sourceKey);
      if (target !== undefined) return target;
    }
    return undefined;
  }

  /** The key that goes to `targetKey`, where the rules can be turned around. */
  sourceOf(targetKey: string): string | undefined {
    if (!this.injective) return undefined;
    for (const rule of this.rules) {
      if (rule.kind !== 'prefix' || !targetKey.startsWith(rule.to)) continue;
      const source = rule.from + targetKey.slice(rule.to.length);
      if (this.targetOf(source) === targetKey) return source;
    }
    return undefined;
  }

  /** What keeps an object from being stored under its target key. */
  check(_sourceKey: string, targetKey: string): KeyProblem | undefined {
    if (targetKey === '') return 'empty';
    return targetKey.length > KEY_BYTES_MAX / 4 && Buffer.byteLength(targetKey) > KEY_BYTES_MAX
      ? 'too-long'
      : undefined;
  }
}

function compile(rule: KeyRule): (key: string) => string | undefined {
  if (rule.kind === 'prefix') {
    const { from, to } = rule;
    return (key) => (key.startsWith(from) ? to + key.slice(from.length) : undefined);
  }
  let pattern: RegExp;
  try {
    // By itself first: in a group, `a)|(?:b` would pass, and match anywhere.
    new RegExp(rule.pattern, 'su');
    pattern = new RegExp(`^(?:${rule.pattern})$`, 'su');
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot use "${rule.pattern}" as a regular expression`, {
      cause: error,
      hint: 'correct the pattern; it must match whole keys',
    });
  }
  checkReplacement(rule, pattern);
  const { replacement, under = '' } = rule;
  return (key) =>
    key.startsWith(under) && pattern.test(key) ? key.replace(pattern, replacement) : undefined;
}

/** JavaScript leaves a reference to a group that does not exist in the text; here it is a mistake. */
function checkReplacement(rule: PatternRule, pattern: RegExp): void {
  const groups = new RegExp(`${pattern.source}|`, pattern.flags).exec('')!;
  for (const [reference, number, name] of rule.replacement.matchAll(/\$\$|\$(\d{1,2})|\$<([^>]*)>/g)) {
    const known =
      reference === '$$' ||
      (number !== undefined && Number(number) >= 1 && Number(number) < groups.length) ||
      (name !== undefined && name in (groups.groups ?? {}));
    if (known) continue;
    throw new LongshoreError(
      'CONFIG_INVALID',
      `the replacement "${rule.replacement}" names a group that "${rule.pattern}" does not have: ${reference}`,
      {
        hint: 'groups are $1, $2 … or $<name> for (?<name>…)',
      },
    );
  }
}

/** What every key begins with that a rule matches. */
function sourceHead({ pattern, under = '' }: PatternRule): string {
  const head = literalHead(pattern);
  return head.startsWith(under) ? head : under;
}

function targetHead(replacement: string): string {
  return replacement.split('$')[0] ?? '';
}

/** What every match of a pattern begins with, as far as it is plain text. */
function literalHead(pattern: string): string {
  if (hasAlternatives(pattern)) return '';
  const head = /^\^?((?:[^\\^$.*+?()[\]{}|]|\\[^\w])*)/u.exec(pattern)?.[1] ?? '';
  const next = pattern.slice(pattern.indexOf(head) + head.length)[0];
  const characters = head.match(/\\?./gsu) ?? [];
  // A quantifier concerns the character before it.
  if (next !== undefined && '*+?{'.includes(next)) characters.pop();
  return characters.map((c) => (c.length > 1 && c.startsWith('\\') ? c.slice(1) : c)).join('');
}

/** Whether a `|` stands outside of every group and class. */
function hasAlternatives(pattern: string): boolean {
  let depth = 0;
  let inClass = false;
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i];
    if (c === '\\') i++;
    else if (inClass) inClass = c !== ']';
    else if (c === '[') inClass = true;
    else if (c === '(') depth++;
    else if (c === ')') depth--;
    else if (c === '|' && depth === 0) return true;
  }
  return false;
}

/** Leaves out every prefix that another one contains. */
function outermost(prefixes: readonly string[]): string[] {
  const distinct = [...new Set(prefixes)];
  return distinct.filter((prefix) => !distinct.some((other) => other !== prefix && prefix.startsWith(other)));
}
