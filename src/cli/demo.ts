/** `longshore demo`: everything embedded; shows a job from the first row to the proof. */

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Argument, type Command } from 'commander';
import { LongshoreError } from '../errors.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

interface DemoFlags {
  readonly objects: number;
  readonly seconds: number;
  readonly sample?: string;
  readonly keep?: string;
}

/** @returns the exit code */
type Demo = (flags: DemoFlags) => Promise<number>;

const DEMOS: Readonly<Record<string, Demo>> = {
  move: demoMove,
  replicate: demoReplicate,
  backup: demoBackup,
  clone: demoClone,
};

export function registerDemo(program: Command, finish: Finish): void {
  program
    .command('demo')
    .description('everything embedded: seed, run a job, prove, print what happened')
    .addArgument(new Argument('[job]', 'which job to show').choices(Object.keys(DEMOS)).default('move'))
    .option('--objects <n>', 'move: how many avatars', Number, 2000)
    .option('--seconds <n>', 'replicate: how long a program writes', Number, 8)
    .option(
      '--sample <folder>',
      'replicate, backup: a folder with the SQL files of pagila, or shop; by default pagila where it lies beside the project',
    )
    .option('--keep <folder>', 'replicate: leave a copy of the files there')
    .action(async (job: string, flags: DemoFlags) => finish(await DEMOS[job]!(flags)));
}

async function demoMove({ objects }: DemoFlags): Promise<number> {
  wholeAboveZero('--objects', objects);
  const [{ runMoveDemo }, { moveReporter }, { formatDuration }] = await Promise.all([
    import('../demo/move-demo.ts'),
    import('../report/move-reporter.ts'),
    import('../config/duration.ts'),
  ]);
  const stateFolder = mkdtempSync(join(tmpdir(), 'longshore-demo-'));
  using reporter = moveReporter('terminal', process.stderr);
  const say = (line: string): void => {
    reporter.close();
    process.stderr.write(`${line}\n`);
  };
  try {
    const { summary, reads, missing, violations } = await stoppable((signal) =>
      runMoveDemo({ objects, stateFolder, signal, emit: reporter.listen, say }),
    );
    const good = summary.failures === 0 && missing === 0 && violations === 0;
    const { total } = summary;
    process.stdout.write(
      `${[
        '',
        good ? 'What happened:' : 'Something went wrong:',
        `  ${n(total.objects.copied)} avatars went from s3://legacy-s3/image/ to s3://production-s3/avatar/ in ${formatDuration(summary.seconds * 1000)}, by server-side copies.`,
        `  Each copy was proven (${n(total.proofs.etag)} by ETag) before its row was changed: ${n(total.rows.rewritten)} rows, in batches guarded by the old value.`,
        `  After a grace period of 2 s, ${n(total.deletes.deleted)} objects were deleted, each only if it still had the ETag that was proven.`,
        `  Meanwhile a reader resolved ${n(reads)} random rows and fetched their objects: ${missing === 0 ? 'not one was missing' : `${n(missing)} were missing`}.`,
        `  Then bucket and table were read again: ${violations === 0 ? 'every row names an object that exists' : `${n(violations)} violations`}.`,
        'What to try next:',
        '  npx longshore move --from s3://… --to s3://… --rows postgres://…/db#table.column --plan',
        '  npx longshore check --help    what your buckets and your table need; docs/move.md tells the rest',
      ].join('\n')}\n`,
    );
    return good ? 0 : 1;
  } finally {
    rmSync(stateFolder, { recursive: true, force: true });
  }
}

async function demoReplicate({ seconds, sample, keep }: DemoFlags): Promise<number> {
  aboveZero('--seconds', seconds);
  if (keep !== undefined) absentOrEmpty('--keep', keep);
  const [{ runReplicateDemo }, { replicateDemoHolds, replicateDemoText }, { replicateReporter }] =
    await Promise.all([
      import('../demo/replicate-demo.ts'),
      import('../demo/replicate-demo-text.ts'),
      import('../report/replicate-text.ts'),
    ]);
  const folder = keep === undefined ? mkdtempSync(join(tmpdir(), 'longshore-lake-')) : resolve(keep);
  try {
    const result = await stoppable(
      (signal) =>
        runReplicateDemo({
          seconds,
          sampleFolder: sample === 'shop' ? undefined : (sample ?? pagilaBeside()),
          folder,
          say: (line) => process.stderr.write(`${line}\n`),
          emit: replicateReporter('terminal', process.stderr),
          signal,
        }),
      { text: 'the servers of the demo go, with all that is in them' },
    );
    process.stdout.write(`${replicateDemoText(result, keep === undefined ? undefined : folder)}\n`);
    return replicateDemoHolds(result) ? 0 : 1;
  } finally {
    if (keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

async function demoBackup({ sample }: DemoFlags): Promise<number> {
  const [{ runBackupDemo }, { backupDemoHolds, backupDemoText }] = await Promise.all([
    import('../demo/backup-demo.ts'),
    import('../demo/backup-demo-text.ts'),
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'longshore-demo-'));
  try {
    const result = await stoppable(
      (signal) =>
        runBackupDemo({
          sampleFolder: sample === 'shop' ? undefined : (sample ?? pagilaBeside()),
          folder,
          say: (line) => process.stderr.write(`${line}\n`),
          emit: () => undefined,
          signal,
        }),
      { text: 'the servers of the demo go, with all that is in them' },
    );
    process.stdout.write(`${backupDemoText(result)}\n`);
    return backupDemoHolds(result) ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function demoClone(): Promise<number> {
  const [{ runCloneDemo }, { cloneDemoHolds, cloneDemoText }] = await Promise.all([
    import('../demo/clone-demo.ts'),
    import('../demo/clone-demo-text.ts'),
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'longshore-demo-'));
  try {
    const result = await stoppable(
      (signal) =>
        runCloneDemo({
          folder,
          say: (line) => process.stderr.write(`${line}\n`),
          emit: () => undefined,
          signal,
        }),
      { text: 'the server of the demo goes, with all that is in it' },
    );
    process.stdout.write(`${cloneDemoText(result)}\n`);
    return cloneDemoHolds(result) ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Where it lies beside the project. */
function pagilaBeside(): string | undefined {
  const folder = fileURLToPath(new URL('../../../shared/data/pagila', import.meta.url));
  return existsSync(folder) ? folder : undefined;
}

/** Files of another run would be taken for some of this one. */
function absentOrEmpty(flag: string, folder: string): void {
  if (!existsSync(folder) || readdirSync(folder).length === 0) return;
  throw new LongshoreError('CONFIG_INVALID', `cannot use ${flag}: ${folder} is not empty`, {
    hint: 'name a folder that is not there yet',
  });
}

function aboveZero(flag: string, value: number): void {
  if (value > 0 && Number.isFinite(value)) return;
  throw new LongshoreError('CONFIG_INVALID', `cannot read ${flag}: it is not a number above 0`);
}

function wholeAboveZero(flag: string, value: number): void {
  if (Number.isInteger(value) && value > 0) return;
  throw new LongshoreError('CONFIG_INVALID', `cannot read ${flag}: it is not a whole number above 0`);
}

function n(value: number): string {
  return value.toLocaleString('en-US');
}
