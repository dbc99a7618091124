/** Which texts a column's character set can hold: comparing it with another one is an error, or leaves the index. */

import type { ColumnFacts } from '../database.ts';

/** The bytes of MySQL's `latin1`, which is Windows-1252. */
const LATIN1 = new Set(
  new TextDecoder('windows-1252').decode(Uint8Array.from({ length: 256 }, (_, byte) => byte)),
);

/** Whether a column of the character set can hold the text; undefined where that is not known here. */
export function canHold(characterSet: string, text: string): boolean | undefined {
  if (/^[\u0000-\u007f]*$/.test(text)) return true;
  switch (characterSet) {
    case 'utf8mb4':
    case 'utf16':
    case 'utf16le':
    case 'utf32':
    case 'binary':
      return true;
    case 'utf8':
    case 'utf8mb3':
    case 'ucs2':
      return !/[\ud800-\udfff]/.test(text);
    case 'latin1':
      return [...text].every((character) => LATIN1.has(character));
    case 'ascii':
      return false;
    default:
      return undefined;
  }
}

/** The name of a type, as `SHOW CREATE TABLE` writes it: with the character set where it is not `utf8mb4`. */
export function typeName(type: string, characterSet: string | null): string {
  return characterSet === null || characterSet === 'utf8mb4' ? type : `${type} character set ${characterSet}`;
}

/** The character set in a name of {@link typeName}. */
export function characterSetOf(column: ColumnFacts): string {
  return / character set (\w+)$/.exec(column.dataType)?.[1] ?? 'utf8mb4';
}
