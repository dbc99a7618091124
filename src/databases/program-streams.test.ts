import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { beforeEach, expect, it, vi } from 'vitest';
import { utf8Text } from '../flow/utf8-text.ts';
import { feedProgram } from './program-input.ts';
import { type ProgramEnd, programOutput } from './program-output.ts';

let folder: string;
const signal = new AbortController().signal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'longshore-streams-'));
  return () => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  };
});

function program(script: string): string {
  const path = join(folder, 'program');
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

function output(
  path: string,
  ends: ProgramEnd[],
  failure?: Error,
): { stream: Readable; cleaned: () => number } {
  let cleaned = 0;
  const stream = programOutput({
    path,
    flags: ['a b'],
    env: { PATH: process.env['PATH'] },
    signal,
    passing: () => {},
    failure: (end) => {
      ends.push(end);
      return failure;
    },
    cleanUp: () => {
      cleaned++;
    },
  });
  return { stream, cleaned: () => cleaned };
}

it('passes the output on, and ends when the program did well', async () => {
  const ends: ProgramEnd[] = [];
  const { stream, cleaned } = output(program('echo "$1"; echo said >&2'), ends);
  expect(await text(stream)).toBe('a b\n');
  await expect.poll(() => stream.closed).toBe(true);
  expect(ends).toEqual([{ code: 0, signal: null, said: 'said' }]);
  expect(cleaned()).toBe(1);
});

it.each([
  ['a socket', ''],
  ['a pipe, where the path is too long for a socket', 'long'.repeat(30)],
])('reads every byte through %s, however slow the reader is, and uses buffers again', async (_, more) => {
  const temporary = join(folder, `t${more}`);
  mkdirSync(temporary);
  vi.stubEnv('TMPDIR', temporary);
  const path = program(
    `i=0; while [ $i -lt 40 ]; do head -c 1000001 /dev/zero | tr '\\0' "$i"; i=$((i+1)); done`,
  );
  const passed = createHash('sha256');
  const stream = programOutput({
    ...{ path, flags: [], env: { PATH: process.env['PATH'] }, signal },
    passing: (chunk) => void passed.update(chunk),
    failure: () => undefined,
    cleanUp: () => {},
  });
  const read = createHash('sha256');
  const buffers = new Set<ArrayBufferLike>();
  let bytes = 0;
  for await (const piece of stream as AsyncIterable<Buffer>) {
    if (bytes % 3 === 0) await setImmediate();
    bytes += piece.byteLength;
    read.update(piece);
    buffers.add(piece.buffer);
    stream.giveBack(piece);
  }
  expect(bytes).toBe(40 * 1_000_001);
  expect(read.digest('hex')).toBe(passed.digest('hex'));
  expect(buffers.size).toBeLessThan(10);
  expect(readdirSync(temporary)).toEqual([]);
});

it('is text also where it came before anyone reads', async () => {
  const { stream } = output(program("printf 'größer'; sleep 0.2; printf ' 😀'"), []);
  await expect.poll(() => stream.readableLength).toBeGreaterThan(0);
  expect((await Array.fromAsync(utf8Text(stream))).join('')).toBe('größer 😀');
});

it('fails as it is told to, however the output ended, every time', async () => {
  const path = program('head -c 1000000 /dev/zero; exec 1>&-; exit 3');
  for (let run = 0; run < 20; run++) {
    const ends: ProgramEnd[] = [];
    const failure = new Error('it did not');
    const { stream, cleaned } = output(path, ends, failure);
    let bytes = 0;
    const reading = (async () => {
      for await (const chunk of stream) bytes += (chunk as Buffer).length;
    })();
    await expect(reading).rejects.toBe(failure);
    expect(bytes).toBeLessThanOrEqual(1_000_000);
    expect(ends).toEqual([{ code: 3, signal: null, said: '' }]);
    expect(cleaned()).toBe(1);
  }
});

it('says that a program cannot be run', async () => {
  const path = join(folder, 'none');
  const { stream, cleaned } = output(path, []);
  await expect(text(stream)).rejects.toMatchObject({
    code: 'CHECK_FAILED',
    message: expect.stringContaining(path),
  });
  expect(cleaned()).toBe(1);
  await expect(
    feedProgram({ path, flags: [], env: {}, input: [Readable.from(['x'])], signal }),
  ).rejects.toMatchObject({ code: 'CHECK_FAILED' });
});

it('feeds a program, and tells whether it read everything', async () => {
  const env = { PATH: process.env['PATH'] };
  const copy = join(folder, 'copy');
  const all = program(`cat > ${copy}; echo done >&2; exit 1`);
  expect(
    await feedProgram({ path: all, flags: [], env, input: [Readable.from(['a', 'b'])], signal }),
  ).toEqual({
    code: 1,
    signal: null,
    said: 'done',
    readAll: true,
  });
  expect(existsSync(copy)).toBe(true);
  const endless = new Readable({
    read() {
      this.push(Buffer.alloc(65_536));
    },
  });
  const little = program('head -c 10 > /dev/null; exit 0');
  expect(await feedProgram({ path: little, flags: [], env, input: [endless], signal })).toMatchObject({
    code: 0,
    readAll: false,
  });
  expect(endless.destroyed).toBe(true);
});

it.each([24, 32, 40, 50, 60])('is over, with %s files that may be open at all', async (files) => {
  const temporary = join(folder, 'temporary');
  mkdirSync(temporary);
  const script = `
    import { programOutput } from ${JSON.stringify(new URL('program-output.ts', import.meta.url).href)};
    const call = { path: ${JSON.stringify(program('head -c 10000 /dev/zero'))}, flags: [], env: {}, passing() {}, cleanUp() {} };
    const { signal } = new AbortController();
    const outcomes = await Promise.all(Array.from({ length: 20 }, async () => {
      let bytes = 0;
      try {
        for await (const piece of programOutput({ ...call, signal, failure: ({ code }) => code === 0 ? undefined : new Error('EMFILE') })) bytes += piece.length;
        return String(bytes);
      } catch (error) {
        return /EMFILE/.test(error.error?.message ?? error.message) ? 'EMFILE' : String(error);
      }
    }));
    console.log(outcomes.filter((outcome) => outcome !== '10000' && outcome !== 'EMFILE').join());`;
  const started = [
    '-c',
    `ulimit -n ${files}; exec "$0" --input-type=module --eval "$1"`,
    process.execPath,
    script,
  ];
  const env = { ...process.env, TMPDIR: temporary };
  const { stdout } = await promisify(execFile)('/bin/sh', started, { env, timeout: 20_000 });
  expect(stdout.trim()).toBe('');
});

it('tells whoever comes to read it later why it was stopped', async () => {
  const stop = new AbortController();
  const stream = programOutput({
    path: program('sleep 10'),
    flags: [],
    env: { PATH: process.env['PATH'] },
    signal: stop.signal,
    passing: () => {},
    failure: () => undefined,
    cleanUp: () => {},
  });
  stop.abort(new Error('stopped'));
  await expect.poll(() => stream.closed).toBe(true);
  await expect(text(stream)).rejects.toThrow('stopped');
});
