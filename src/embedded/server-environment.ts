/** The environment of a server, and of the programs that come with it: nothing of the caller's settings or secrets. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const { PATH, TMPDIR, SystemRoot, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH } = process.env;
  return { PATH, TMPDIR, SystemRoot, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH, LC_ALL: 'C', TZ: 'UTC' };
}
