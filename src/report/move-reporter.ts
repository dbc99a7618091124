/** Listens to a move and shows its progress: a line that renews itself, plain lines, or NDJSON. */

import { formatBytes } from '../config/bytes.ts';
import { formatDuration } from '../config/duration.ts';
import type { MoveEvent } from '../jobs/move/events.ts';
import { addTally, emptyTally } from '../jobs/move/tally.ts';

export interface MoveReporter extends Disposable {
  readonly listen: (event: MoveEvent) => void;
  /** Ends the line that renews itself. */
  close(): void;
}

const RENEW_MS = 200;
const PLAIN_LINE_MS = 5000;

export function moveReporter(
  form: 'terminal' | 'ndjson',
  stream: { write(text: string): unknown; isTTY?: boolean; columns?: number },
): MoveReporter {
  if (form === 'ndjson') {
    const listen = (event: MoveEvent): void => {
      stream.write(`${JSON.stringify({ time: new Date().toISOString(), ...event })}\n`);
    };
    return { listen, close: () => undefined, [Symbol.dispose]: () => undefined };
  }
  return new TerminalReporter(stream);
}

class TerminalReporter implements MoveReporter {
  readonly #stream: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  readonly #tally = emptyTally();
  #stage: Extract<MoveEvent, { type: 'stage-started' }> | undefined;
  #stageShards = 0;
  #stageObjects = 0;
  #stageStartMs = 0;
  #retries = 0;
  #shownMs = 0;
  #lineOpen = false;

  constructor(stream: { write(text: string): unknown; isTTY?: boolean; columns?: number }) {
    this.#stream = stream;
  }

  readonly listen = (event: MoveEvent): void => {
    switch (event.type) {
      case 'run-started':
        this.#say(`${event.resumed ? 'going on with' : 'run'} ${event.run}`);
        break;
      case 'notice':
        this.#say(`note: ${event.text}`);
        break;
      case 'planning':
        this.#renew(`listing: ${count(event.objects)} objects, ${formatBytes(event.bytes)}`);
        break;
      case 'pass-started':
        break;
      case 'stage-started':
        this.#stage = event;
        this.#stageShards = 0;
        this.#stageObjects = 0;
        this.#stageStartMs = Date.now();
        break;
      case 'recorded':
        addTally(this.#tally, event.tally);
        this.#renew(this.#progressLine());
        break;
      case 'shard-finished':
        addTally(this.#tally, event.tally);
        this.#stageShards++;
        this.#stageObjects += event.objects;
        this.#renew(this.#progressLine());
        break;
      case 'shard-failed':
        this.#say(`failed: ${event.message}`);
        break;
      case 'retry':
        this.#retries++;
        break;
      case 'waiting':
        this.#say(`waiting until ${localTime(event.untilMs)} (${WAITING[event.forWhat]})`);
        break;
      case 'run-finished':
        this.close();
    }
  };

  close(): void {
    if (this.#lineOpen) this.#stream.write('\n');
    this.#lineOpen = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #progressLine(): string {
    const stage = this.#stage;
    if (stage === undefined) return '';
    const seconds = Math.max(0.001, (Date.now() - this.#stageStartMs) / 1000);
    const parts = [`${STAGES[stage.stage]} ${this.#stageShards}/${stage.shards}`];
    if (stage.objects !== undefined && stage.objects > 0) {
      const rate = this.#stageObjects / seconds;
      const left = Math.max(0, stage.objects - this.#stageObjects);
      parts.push(
        `${count(this.#stageObjects)} of ${count(stage.objects)} objects`,
        `${count(Math.round(rate))}/s`,
      );
      if (left > 0) parts.push(`${formatDuration((left / Math.max(rate, 0.001)) * 1000)} left`);
    }
    const { objects, rows, deletes, bytesCopied } = this.#tally;
    parts.push(`${formatBytes(bytesCopied)} copied`, `${count(rows.rewritten)} rows`);
    if (deletes.deleted > 0) parts.push(`${count(deletes.deleted)} deleted`);
    if (this.#retries > 0) parts.push(`${count(this.#retries)} retries`);
    if (objects.failed > 0) parts.push(`${count(objects.failed)} failed`);
    return parts.join(' · ');
  }

  #say(text: string): void {
    this.close();
    this.#stream.write(`${text}\n`);
  }

  #renew(text: string): void {
    const now = Date.now();
    const tty = this.#stream.isTTY === true;
    if (now - this.#shownMs < (tty ? RENEW_MS : PLAIN_LINE_MS)) return;
    this.#shownMs = now;
    if (!tty) {
      this.#stream.write(`${text}\n`);
      return;
    }
    this.#stream.write(`\r\u001b[2K${text.slice(0, (this.#stream.columns ?? 120) - 1)}`);
    this.#lineOpen = true;
  }
}

const STAGES = {
  copy: 'copying',
  sweep: 'reading rows',
  delete: 'deleting',
  'undo-objects': 'putting back',
  'undo-rows': 'putting rows back',
  'undo-delete': 'removing copies',
} as const;

const WAITING = {
  grace: 'grace period before objects go; stop it when you like, the same command goes on',
  traffic: 'following',
  rows: 'the database asks for a pause',
} as const;

/** With the date where it is not today. */
function localTime(ms: number): string {
  const date = new Date(ms);
  const sameDay = date.toDateString() === new Date().toDateString();
  return sameDay ? date.toLocaleTimeString() : date.toLocaleString();
}

function count(n: number): string {
  return n.toLocaleString('en-US');
}
