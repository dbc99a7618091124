import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkClientFolder, clientEnvironment, clientFolders, findPrograms } from './client-programs.ts';

it('finds programs in the order of folders and names, and asks them', async () => {
  const root = mkdtempSync(join(tmpdir(), 'longshore-programs-'));
  try {
    const program = (path: string, text: string, mode = 0o755) => {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), `#!/bin/sh\n${text}\n`, { mode });
    };
    program('one/b', 'echo "b $1 $SECRET$KEPT"; echo "a warning" >&2');
    program('one/a', 'exit 3');
    program('two/b', 'echo two');
    program('two/a', 'echo not to be run', 0o644);
    mkdirSync(join(root, 'three/a'), { recursive: true });
    const env = { PATH: `:${join(root, 'two')}` };
    const folders = clientFolders(undefined, env, [join(root, 'thr*'), join(root, 'one')]);
    const inOne = [
      { name: 'a', path: join(root, 'one/a'), versionText: '' },
      { name: 'b', path: join(root, 'one/b'), versionText: 'b --version kept' },
    ];
    expect(await findPrograms(['a', 'b'], folders, { KEPT: 'kept' })).toEqual([
      ...inOne,
      { name: 'b', path: join(root, 'two/b'), versionText: 'two' },
    ]);
    // One that is named is looked at alone.
    const named = clientFolders(join(root, 'one'), env, [join(root, 'two')]);
    expect(await findPrograms(['a', 'b'], named, { KEPT: 'kept' })).toEqual(inOne);
  } finally {
    rmSync(root, { recursive: true });
  }
});

it('gives programs no settings of clients', () => {
  const { PATH, ...rest } = clientEnvironment({
    PATH: '/bin',
    MYSQL_PWD: 'x',
    PGPASSWORD: 'x',
    AWS_SECRET_ACCESS_KEY: 'x',
  });
  expect(PATH).toBe('/bin');
  expect(Object.values(rest).filter((value) => value !== undefined)).toEqual([]);
});

it('a folder that was asked for and holds nothing is what is wrong, not what is installed', () => {
  const found = [{ name: 'pg_dump', path: '/x/pg_dump', versionText: '' }];
  expect(() => checkClientFolder('/x', ['pg_dump'], found)).not.toThrow();
  expect(() => checkClientFolder(undefined, ['pg_dump'], [])).not.toThrow();
  expect(() => checkClientFolder('/y', ['pg_dump', 'pg_restore'], [])).toThrow(
    expect.objectContaining({
      code: 'CHECK_FAILED',
      message: '/y has none of pg_dump, pg_restore',
      hint: expect.stringContaining('--client-folder'),
    }),
  );
});
