/** A webhook that takes a note, refuses it, hangs, or is not there: none of it throws, and the URL is never shown. */

import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { LongshoreError } from '../../errors.ts';
import { checkWebhook, failureNote, notifyFailure } from './webhook.ts';

const NEVER = new AbortController().signal;
const TOKEN = 'T0KEN/of-the-hook';
const note = failureNote(
  'postgres://db/shop',
  new LongshoreError('OBJECT_FAILED', 'no end was seen'),
  Date.UTC(2026, 10, 20, 3),
);

let url: string;
let taken: { readonly message: IncomingMessage; readonly body: string }[];
let status: number | undefined;
beforeEach(async () => {
  taken = [];
  status = 204;
  const server = createServer(async (message, response) => {
    taken.push({ message, body: await text(message) });
    if (status !== undefined) response.writeHead(status, { location: '/elsewhere' }).end('ok');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${TOKEN}`;
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
});

test('takes the note as JSON', async () => {
  expect(await notifyFailure(url, note, NEVER)).toBeUndefined();
  expect(taken).toHaveLength(1);
  expect(taken[0]!.message).toMatchObject({ method: 'POST', url: `/${TOKEN}` });
  expect(taken[0]!.message.headers['content-type']).toBe('application/json');
  expect(JSON.parse(taken[0]!.body)).toEqual({
    ...{ job: 'postgres://db/shop', message: 'no end was seen', code: 'OBJECT_FAILED' },
    at: '2026-11-20T03:00:00.000Z',
  });
});

test.each([500, 403, 302])('answers %i, which is told', async (answer) => {
  status = answer;
  expect(await notifyFailure(url, note, NEVER)).toBe(`the webhook answered ${answer}`);
  expect(taken).toHaveLength(1);
});

describe('does not answer', () => {
  test('in ten seconds', async () => {
    status = undefined;
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      expect(ms).toBe(10_000);
      return AbortSignal.abort(new DOMException('over', 'TimeoutError'));
    });
    expect(await notifyFailure(url, note, NEVER)).toBe('the webhook did not answer in 10 s');
    timeout.mockRestore();
  });

  test('before the program is stopped', async () => {
    status = undefined;
    const stop = new AbortController();
    const told = notifyFailure(url, note, stop.signal);
    await expect.poll(() => taken.length).toBe(1);
    stop.abort(new Error('stopped'));
    expect(await told).toBe('the webhook was not reached');
  });

  test.each([
    ['a port that is closed', `http://127.0.0.1:1/${TOKEN}`],
    ['a name that is none', `http://${TOKEN.split('/')[0]}.invalid/`],
    ['what is no URL', `//${TOKEN}`],
  ])('at %s', async (_, at) => {
    const told = await notifyFailure(at, note, NEVER);
    expect(told).toMatch(/^the webhook was not reached/);
    expect(told!.toLowerCase()).not.toContain('t0ken');
  });
});

test('what is no URL is refused without being shown', () => {
  expect(() => checkWebhook(url)).not.toThrow();
  for (const wrong of [TOKEN, `ftp://x/${TOKEN}`, `https://me:${TOKEN}@host/`, `https://me:T0KEN@host/`]) {
    expect(() => checkWebhook(wrong)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: 'the webhook is no URL' }),
    );
  }
});
