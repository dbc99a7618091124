/** The keys of an artifact's INI file, taken one by one; what is wrong with them is gathered, and so is what nobody took. */

import { messageOf } from '../../errors.ts';
import { type IniSection, parseIni } from './ini.ts';

const SECTIONS = ['source_db', 'target_db'] as const;
export type Section = (typeof SECTIONS)[number];

/** Keys as they are taken; what is left in the end is not known. */
export class IniKeys {
  readonly problems: string[];
  readonly tags: Readonly<Record<string, string>>;
  readonly #sections = new Map<Section, IniSection>();
  /** What a section does not say. */
  readonly #defaults: IniSection;

  constructor(text: string) {
    const { sections, problems } = parseIni(text, (section) => section === 'tags');
    this.problems = [...problems];
    this.#defaults = sections.get('DEFAULT') ?? new Map();
    this.tags = Object.fromEntries(sections.get('tags') ?? []);
    for (const [name, keys] of sections) {
      if (isSection(name)) this.#sections.set(name, keys);
      else if (name !== 'tags' && name !== 'DEFAULT') this.problems.push(`the section ${name} is not known`);
    }
    const missing = SECTIONS.filter((section) => !this.#sections.has(section));
    if (missing.length > 0) this.problems.push(`Missing sections: ${setOf(missing)}`);
  }

  optional(section: Section, key: string): string | undefined {
    const keys = this.#sections.get(section);
    const from = keys?.has(key) ? keys : this.#defaults;
    const value = from.get(key);
    from.delete(key);
    return value === '' ? undefined : value;
  }

  /** Told as missing where it is not there, unless its whole section is not. */
  required(section: Section, keys: readonly string[]): (string | undefined)[] {
    const values = keys.map((key) => this.optional(section, key));
    const missing = keys.filter((_, i) => values[i] === undefined);
    if (missing.length > 0 && this.#sections.has(section))
      this.problems.push(`Missing ${section} key: ${setOf(missing)}`);
    return values;
  }

  converted<T>(section: Section, key: string, convert: (text: string) => T): T | undefined {
    const value = this.optional(section, key);
    if (value === undefined) return undefined;
    try {
      return convert(value);
    } catch (error) {
      this.problems.push(`${section}/${key}: ${messageOf(error)}`);
      return undefined;
    }
  }

  matching(section: Section, key: string, pattern: RegExp, what: string): string | undefined {
    const value = this.optional(section, key);
    if (value === undefined || pattern.test(value)) return value;
    this.problems.push(`${section}/${key} must be ${what}`);
    return undefined;
  }

  flag(section: Section, key: string, otherwise: boolean): boolean {
    const value = this.matching(section, key, /^(?:true|false|yes|no|on|off|1|0)$/i, 'true or false');
    return value === undefined ? otherwise : /^(?:true|yes|on|1)$/i.test(value);
  }

  /** What was not taken has a name that nobody knows. */
  end(): string[] {
    for (const [section, keys] of this.#sections) {
      if (keys.size > 0) this.problems.push(`Unknown ${section} key: ${setOf([...keys.keys()])}`);
    }
    if (this.#defaults.size > 0)
      this.problems.push(`Unknown DEFAULT key: ${setOf([...this.#defaults.keys()])}`);
    return this.problems;
  }
}

const isSection = (name: string): name is Section => (SECTIONS as readonly string[]).includes(name);

/** As the original program wrote them: `{'instance_type'}`. */
const setOf = (names: readonly string[]): string => `{${names.map((name) => `'${name}'`).join(', ')}}`;
