/**
 * What makes an artifact's image run: this machine's Node.js with the libraries that it needs and the loader of them, which
 * together run in any image of Linux and in an empty one, and the program.
 */

import { execFile } from 'node:child_process';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LongshoreError, messageOf } from '../../errors.ts';
import type { LayerFile } from '../../platforms/oci/layer.ts';
import { convergeBundle, programVersion } from './converge-bundle.ts';

export interface ProgramLayers {
  /** Undefined where the base image has to bring Node.js. */
  readonly runtime: readonly LayerFile[] | undefined;
  readonly program: readonly LayerFile[];
  readonly entrypoint: readonly string[];
  /** Of Longshore. */
  readonly version: string;
  /** Of Node.js, where it is in there. */
  readonly nodeVersion: string | undefined;
}

const FOLDER = 'longshore';
const PROGRAM = `${FOLDER}/converge.mjs`;

/**
 * @param hasBase whether the layers go on top of another image
 * @param node `base` where that one brings Node.js; else it does on a machine that has none for Linux
 * @throws CHECK_FAILED
 */
export async function programLayers(
  hasBase: boolean,
  node: 'own' | 'base' | undefined,
  signal: AbortSignal | undefined,
): Promise<ProgramLayers> {
  const isLinux = process.platform === 'linux';
  if ((node === 'own' && !isLinux) || (!hasBase && (node === 'base' || !isLinux))) {
    const why = isLinux
      ? 'there is no other image to take Node.js from'
      : `an image runs Linux, and the Node.js of this machine is one for ${process.platform}`;
    throw new LongshoreError('CHECK_FAILED', `cannot put the program into an image: ${why}`, {
      hint: 'name an image that has Node.js 24, e.g. --base node:24-slim',
    });
  }
  const bundle = await convergeBundle(signal);
  const program = [{ path: PROGRAM, content: fileAt(bundle) }];
  const version = programVersion();
  if (!isLinux || node === 'base')
    return {
      runtime: undefined,
      program,
      entrypoint: ['node', `/${PROGRAM}`],
      version,
      nodeVersion: undefined,
    };
  const executable = realpathSync(process.execPath);
  const { loader, libraries } = librariesIn(await ldd(executable, signal));
  const runtime: LayerFile[] = [
    { path: `${FOLDER}/bin/node`, mode: 0o755, content: fileAt(executable) },
    ...[...libraries, ...nameServices(libraries)].map((path) => ({
      path: `${FOLDER}/lib/${basename(path)}`,
      mode: 0o755,
      content: fileAt(path),
    })),
    ...(hasBase ? [] : SCRATCH),
  ];
  const start =
    loader === undefined
      ? [`/${FOLDER}/bin/node`]
      : [`/${FOLDER}/lib/${basename(loader)}`, '--library-path', `/${FOLDER}/lib`, `/${FOLDER}/bin/node`];
  return {
    runtime,
    program,
    entrypoint: [...start, `/${PROGRAM}`],
    version,
    nodeVersion: process.versions.node,
  };
}

/** What a program expects of a system where there is none. */
const SCRATCH: readonly LayerFile[] = [
  { path: 'etc/passwd', content: Buffer.from('root:x:0:0:root:/root:/\n') },
  { path: 'etc/group', content: Buffer.from('root:x:0:\n') },
  { path: 'etc/nsswitch.conf', content: Buffer.from('hosts: files dns\n') },
  { path: 'root', mode: 0o700, content: 'folder' },
  { path: 'tmp', mode: 0o1777, content: 'folder' },
];

/** @param text what `ldd` prints @returns paths; the loader is one of the libraries, and undefined of a static program */
export function librariesIn(text: string): { loader: string | undefined; libraries: string[] } {
  const libraries = new Set<string>();
  let loader: string | undefined;
  for (const line of text.split('\n')) {
    const missing = /^\s*(\S+) => not found/.exec(line)?.[1];
    if (missing !== undefined)
      throw new LongshoreError(
        'CHECK_FAILED',
        `Node.js needs the library ${missing}, which is not on this machine`,
      );
    const path = /^\s*(?:\S+ => )?(\/\S+) \(0x/.exec(line)?.[1];
    if (path === undefined) continue;
    libraries.add(path);
    if (/^ld(?:-linux|-musl|64)?[\w.-]*\.so/.test(basename(path))) loader = path;
  }
  return { loader, libraries: [...libraries] };
}

/** The C library loads these by name when a host is looked up; newer ones have them within. */
function nameServices(libraries: readonly string[]): string[] {
  const libc = libraries.find((path) => basename(path) === 'libc.so.6');
  if (libc === undefined) return [];
  return ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2']
    .map((name) => join(dirname(libc), name))
    .filter((path) => existsSync(path) && !libraries.includes(path));
}

function ldd(program: string, signal: AbortSignal | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      'ldd',
      [program],
      { signal, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' } },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        // A static one.
        if (/not a dynamic executable|not a valid dynamic program/i.test(stdout + stderr)) return resolve('');
        reject(
          signal?.reason ??
            new LongshoreError(
              'CHECK_FAILED',
              `cannot find the libraries of ${program}: ${messageOf(error)}`,
              {
                cause: error,
                hint: 'install ldd, which comes with the C library',
              },
            ),
        );
      },
    );
  });
}

function fileAt(path: string): { file: string; size: number } {
  const file = realpathSync(path);
  return { file, size: statSync(file).size };
}
