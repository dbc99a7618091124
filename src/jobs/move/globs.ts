/** Include and exclude globs over keys: `*` within a segment, `**` across, `?` one character. */

/** A key passes when it matches an include (or there is none) and no exclude. */
export function globFilter(include: readonly string[], exclude: readonly string[]): (key: string) => boolean {
  if (include.length === 0 && exclude.length === 0) return () => true;
  const wanted = include.map(globToRegExp);
  const unwanted = exclude.map(globToRegExp);
  return (key) =>
    (wanted.length === 0 || wanted.some((glob) => glob.test(key))) &&
    !unwanted.some((glob) => glob.test(key));
}

function globToRegExp(glob: string): RegExp {
  let source = '';
  for (let i = 0; i < glob.length; i++) {
    const c = glob[i]!;
    if (c === '*' && glob[i + 1] === '*') {
      source += '.*';
      i++;
    } else if (c === '*') source += '[^/]*';
    else if (c === '?') source += '[^/]';
    else source += c.replace(/[\\^$.|+()[\]{}/]/g, '\\$&');
  }
  return new RegExp(`^${source}$`, 'su');
}
