/**
 * The environment of a server, and of the programs that come with it: nothing of the caller's settings or secrets.
 * @param temporaryFolder of its own, where files that it leaves go with it
 */
export function serverEnvironment(temporaryFolder = process.env['TMPDIR']): NodeJS.ProcessEnv {
  const { PATH, SystemRoot, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH } = process.env;
  return {
    PATH,
    TMPDIR: temporaryFolder,
    SystemRoot,
    LD_LIBRARY_PATH,
    DYLD_LIBRARY_PATH,
    LC_ALL: 'C',
    TZ: 'UTC',
  };
}
