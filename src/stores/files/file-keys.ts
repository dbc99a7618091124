/** Which keys can be the name of a file below a folder, and which names belong to the store itself. */

/** Names that begin so are the store's own: files being written, attributes. Never listed, never keys. */
export const HIDDEN = '.longshore-';

/** Whether a key can be a file below the root: every part a name, none of them leading elsewhere or hidden. */
export function isFileKey(key: string): boolean {
  return key.isWellFormed() && !key.includes('\0') && key.split('/').every(isFileName);
}

function isFileName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.startsWith(HIDDEN);
}

/** The folder that a prefix leads into, with a slash at its end; '' for the root. */
export function folderOf(prefix: string): string {
  return prefix.slice(0, prefix.lastIndexOf('/') + 1);
}
