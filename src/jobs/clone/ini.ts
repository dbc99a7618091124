/** INI files, read as Python's configparser reads them: `key = value` or `key: value`, values over several lines, `[DEFAULT]`. */

/** Its keys are in small letters, unless they are tags. */
export type IniSection = Map<string, string>;

export interface Ini {
  readonly sections: ReadonlyMap<string, IniSection>;
  /** What is no INI, or there twice. */
  readonly problems: readonly string[];
}

/** @param isExact whether the keys of a section are as they are written */
export function parseIni(text: string, isExact: (section: string) => boolean): Ini {
  const sections = new Map<string, IniSection>();
  const problems: string[] = [];
  let section: IniSection | undefined;
  let name = '';
  let last: { readonly key: string; readonly indent: number } | undefined;
  for (const [i, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\r|\n/)
    .entries()) {
    const bare = line.trim();
    if (bare === '' || /^[;#]/.test(bare)) continue;
    const header = /^\[(.*)\]$/.exec(withoutComment(bare))?.[1];
    if (header !== undefined) {
      name = header.trim();
      if (sections.has(name)) problems.push(`the section ${name} is there twice`);
      section = sections.get(name) ?? new Map();
      sections.set(name, section);
      last = undefined;
      continue;
    }
    // The keys of tags hold colons.
    const parts = isExact(name) && bare.includes('=') ? /^([^=]*?)\s*=\s*(.*)$/ : /^([^=:]*?)\s*[=:]\s*(.*)$/;
    const [, written, value] = parts.exec(bare) ?? [];
    const indent = line.search(/\S/);
    if (section !== undefined && last !== undefined && written === undefined && indent > last.indent) {
      section.set(last.key, `${section.get(last.key)}\n${textOf(bare)}`.trim());
    } else if (!written || value === undefined) {
      problems.push(`line ${i + 1} is neither "key = value" nor "[section]"`);
    } else if (section === undefined) {
      problems.push(`the key ${written} is in no section`);
    } else {
      const key = isExact(name) ? written : written.toLowerCase();
      if (section.has(key)) problems.push(`the key ${key} is twice in ${name}`);
      section.set(key, textOf(value));
      last = { key, indent };
    }
  }
  return { sections, problems };
}

/** Quotes keep what would be a comment. */
function textOf(text: string): string {
  const quoted = /^(["'])(.*)\1\s*(?:[;#].*)?$/.exec(text)?.[2];
  return quoted ?? withoutComment(text);
}

/** One begins after a blank: addresses hold `;` and `#`. */
const withoutComment = (text: string): string => text.replace(/\s+[;#].*$/, '');
