/** Whether a file of a shared folder is whole: what other programs do to it meanwhile is done by real ones. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../flow/clock.ts';
import { isUnchanged, lookAtFile } from './waiting-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-watched-'));
  path = join(folder, 'datadump.sql');
  return () => rmSync(folder, { recursive: true, force: true });
});

const NEVER = new AbortController().signal;
/** Something happens while it is waited. */
const meanwhile = (happens: () => void): Clock => ({
  now: () => 0,
  wait: async () => happens(),
});
const look = (happens: () => void = () => undefined) => lookAtFile(path, 1000, meanwhile(happens), NEVER);

test('nothing is there, or no file', async () => {
  expect(await look()).toEqual({ kind: 'absent' });
  mkdirSync(path);
  expect(await look()).toEqual({ kind: 'unfinished', why: 'is no file' });
  rmSync(path, { recursive: true });
  writeFileSync(join(folder, 'other'), 'x');
  symlinkSync(join(folder, 'other'), path);
  expect(await look()).toEqual({ kind: 'unfinished', why: 'is no file' });
});

test('a whole file, and whether it stays so', async () => {
  writeFileSync(path, 'SELECT 1;');
  const found = await look();
  expect(found).toMatchObject({ kind: 'whole', file: { path, bytes: 9 } });
  if (found.kind !== 'whole') throw new Error('not whole');
  expect(await isUnchanged(found.file)).toBe(true);
  appendFileSync(path, '\n');
  expect(await isUnchanged(found.file)).toBe(false);
});

test.each([
  ['grows', () => appendFileSync(path, 'more')],
  [
    'is replaced',
    () => {
      writeFileSync(`${path}.new`, 'SELECT 1;');
      renameSync(`${path}.new`, path);
    },
  ],
  ['goes', () => rmSync(path)],
])('a file that %s is still changing', async (_, happens) => {
  writeFileSync(path, 'SELECT 1;');
  expect(await look(happens)).toEqual({ kind: 'unfinished', why: 'is still changing' });
});

test.skipIf(process.platform !== 'linux')('a file that a program has open to write', async () => {
  const writer = spawn('bash', [
    '-c',
    'exec 3>"$1"; echo begun >&3; echo open; read -r; echo more >&3',
    'bash',
    path,
  ]);
  await once(writer.stdout, 'data');
  expect(await look()).toMatchObject({
    kind: 'unfinished',
    why: expect.stringContaining('a program has it open'),
  });
  writer.stdin.end('\n');
  await once(writer, 'close');
  const reader = spawn('bash', ['-c', 'exec 3<"$1"; echo open; read -r', 'bash', path]);
  await once(reader.stdout, 'data');
  expect(await look()).toMatchObject({ kind: 'whole' });
  reader.stdin.end('\n');
  await once(reader, 'close');
});

describe('dumps end as their programs end them', () => {
  const PG = '--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n';
  const MARIA = '/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n';
  test.each([
    ['pg_dump', PG, '--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n'],
    [
      'pg_dumpall',
      '--\n-- PostgreSQL database cluster dump\n--\n',
      '-- PostgreSQL database cluster dump complete\n--\n',
    ],
    ['mysqldump', '-- MySQL dump 8.0\n', '-- Dump completed on 2026-11-20 12:00:00\n'],
    ['mariadb-dump', MARIA, '-- Dump completed on 2026-11-20 12:00:00\n'],
  ])('%s', async (_, head, tail) => {
    const rows = 'INSERT INTO t VALUES (1);\n'.repeat(10_000);
    writeFileSync(path, head + rows);
    expect(await look()).toMatchObject({ kind: 'unfinished', why: expect.stringContaining('has no end') });
    writeFileSync(path, head + rows + tail);
    expect(await look()).toMatchObject({ kind: 'whole' });
  });

  test('of other files nothing is known, but an empty one is no dump', async () => {
    writeFileSync(path, '');
    expect(await look()).toEqual({ kind: 'unfinished', why: 'is empty' });
    writeFileSync(path, 'PGDMP\u0001\u000e');
    expect(await look()).toMatchObject({ kind: 'whole' });
  });
});
