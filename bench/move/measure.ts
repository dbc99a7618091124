/** Runs a command and measures it: wall time, CPU time with that of its children, peak memory. */

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';

export interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Of all processes of the command together; undefined where there is no /proc. */
  readonly peakBytes: number | undefined;
}

const SAMPLE_MS = 50;

export async function measure(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Measured> {
  // bash reports the CPU time of a command and its children when it ends.
  const script = 'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null 2>"$OUT"';
  const out = `/tmp/longshore-bench-${process.pid}.log`;
  const child = spawn('bash', ['-c', script, 'bash', ...command], {
    // The server is plain HTTP on this machine; rclone refuses to start with a bundle of certificates named here.
    env: { ...process.env, AWS_CA_BUNDLE: undefined, ...env, OUT: out },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.on('data', (chunk) => (text += String(chunk)));
  let peakBytes: number | undefined;
  const sampler = setInterval(() => {
    const bytes = memoryOf(child.pid!);
    if (bytes !== undefined) peakBytes = Math.max(peakBytes ?? 0, bytes);
  }, SAMPLE_MS);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  clearInterval(sampler);
  const times = /([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(text);
  if (times === null) throw new Error(`no times from ${command[0]}: ${text}`);
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}: ${tailOf(out)}`);
  rmSync(out, { force: true });
  return { seconds: Number(times[1]), cpuSeconds: Number(times[2]) + Number(times[3]), peakBytes };
}

function tailOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(-500);
  } catch (error) {
    return String(error);
  }
}

/** Peak resident memory of a process and its descendants. */
function memoryOf(pid: number): number | undefined {
  let processes: string[];
  try {
    processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return undefined;
  }
  const parents = new Map<number, number>();
  const peaks = new Map<number, number>();
  for (const name of processes) {
    let status: string;
    try {
      status = readFileSync(`/proc/${name}/status`, 'utf8');
    } catch {
      // It ended between the listing and the look.
      continue;
    }
    parents.set(Number(name), Number(/^PPid:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    peaks.set(Number(name), Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024);
  }
  let sum = 0;
  for (const [candidate, peak] of peaks) {
    for (let at: number | undefined = parents.get(candidate); at; at = parents.get(at)) {
      if (at !== pid) continue;
      sum += peak;
      break;
    }
  }
  return sum;
}
