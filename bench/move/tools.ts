/** The tools that are measured and how each is told to move the same objects. */

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { FROM, TO } from './fill.ts';

export interface ToolContext {
  readonly env: Readonly<Record<string, string>>;
  readonly rows: string | undefined;
  readonly endpoint: string;
  /** An empty folder, removed afterwards. */
  readonly stateFolder: string;
}

export interface Tool {
  readonly name: string;
  readonly label: string;
  /** Whether it changes rows too. */
  readonly rows: boolean;
  /** Why it cannot be measured here. */
  readonly missing?: string | undefined;
  readonly objectsMax?: number;
  command(context: ToolContext): string[];
  env?(context: ToolContext): Record<string, string>;
}

const SOURCE = `s3://${FROM.bucket}/${FROM.prefix}`;
const TARGET = `s3://${TO.bucket}/${TO.prefix}`;

export async function findTools(): Promise<Tool[]> {
  const program = fileURLToPath(new URL('../../bin/longshore.mjs', import.meta.url));
  const loop = fileURLToPath(new URL('./loop.py', import.meta.url));
  return [
    {
      name: 'longshore',
      label: 'longshore move (copy, proof, row, delete)',
      rows: true,
      command: ({ rows, stateFolder }) => [
        process.execPath,
        program,
        'move',
        ...['--from', SOURCE, '--to', TARGET, '--rows', rows!, '--delete', 'proven', '--json'],
        ...['--state', stateFolder],
      ],
    },
    {
      name: 'rclone',
      label: 'rclone move --transfers 64',
      rows: false,
      missing: missing('rclone', ['version']),
      command: () => [
        'rclone',
        'move',
        ...['--transfers', '64', '--checkers', '64', '--s3-no-check-bucket', '-q'],
        `bench:${FROM.bucket}/${FROM.prefix}`,
        `bench:${TO.bucket}/${TO.prefix}`,
      ],
      env: ({ env, endpoint }) => ({
        RCLONE_CONFIG_BENCH_TYPE: 's3',
        RCLONE_CONFIG_BENCH_PROVIDER: 'Other',
        RCLONE_CONFIG_BENCH_ENDPOINT: endpoint,
        RCLONE_CONFIG_BENCH_REGION: 'us-east-1',
        RCLONE_CONFIG_BENCH_ACCESS_KEY_ID: env['AWS_ACCESS_KEY_ID']!,
        RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY: env['AWS_SECRET_ACCESS_KEY']!,
      }),
    },
    {
      name: 's5cmd',
      label: 's5cmd mv',
      rows: false,
      missing: missing('s5cmd', ['version']),
      command: ({ endpoint }) => ['s5cmd', '--endpoint-url', endpoint, 'mv', `${SOURCE}*`, TARGET],
    },
    {
      name: 'aws',
      label: 'aws s3 mv',
      rows: false,
      missing: missing('aws', ['--version']),
      objectsMax: 3000,
      command: ({ endpoint }) => [
        'aws',
        '--endpoint-url',
        endpoint,
        's3',
        'mv',
        '--recursive',
        '--quiet',
        SOURCE,
        TARGET,
      ],
    },
    {
      name: 'loop',
      label: 'a loop: one object, one row, one delete, 10 threads',
      rows: true,
      missing: missing('python3', ['-c', 'import boto3, psycopg2']),
      objectsMax: 2000,
      command: ({ rows, endpoint }) => ['python3', loop, endpoint, rows!.split('#')[0]!],
    },
  ];
}

function missing(program: string, args: readonly string[]): string | undefined {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return undefined;
  } catch {
    return `${program} ${args.join(' ')} does not run here`;
  }
}
