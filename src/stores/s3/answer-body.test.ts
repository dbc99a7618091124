import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { LongshoreError } from '../../errors.ts';
import { answerBody } from './answer-body.ts';

const lost = (error: unknown) => new LongshoreError('STORE_UNAVAILABLE', 'connection lost', { cause: error });
const settle = () => new Promise((resolve) => setImmediate(resolve));

test('the bytes come through, none at all too', async () => {
  const chunks = ['one', 'two', 'three'].map((text) => Buffer.from(text));
  expect(String(Buffer.concat(await answerBody(Readable.from(chunks), lost).toArray()))).toBe('onetwothree');
  expect(await answerBody(Readable.from([]), lost).toArray()).toEqual([]);
});

test('what breaks the answer in the middle is an error with a code', async () => {
  const broken = new Readable({ read: () => undefined });
  const body = answerBody(broken, lost);
  broken.push('half');
  const reading = body.toArray();
  await settle();
  broken.destroy(new Error('other side closed'));
  await expect(reading).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
});

test('an answer that stops without an end is an error too', async () => {
  const cut = new Readable({ read: () => undefined });
  const body = answerBody(cut, lost);
  cut.push('half');
  const reading = body.toArray();
  await settle();
  cut.destroy();
  await expect(reading).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
});

test('who does not read stops the answer, and who gives up ends it', async () => {
  let produced = 0;
  const endless = new Readable({
    highWaterMark: 1,
    read() {
      produced++;
      this.push(Buffer.alloc(16_384));
    },
  });
  const body = answerBody(endless, lost);
  body.once('readable', () => undefined);
  for (let i = 0; i < 50; i++) await settle();
  expect(produced).toBeLessThan(30);
  body.destroy();
  await settle();
  expect(endless.destroyed).toBe(true);
});

test('a body that was never read ends with its answer', async () => {
  const inner = new Readable({ read: () => undefined });
  answerBody(inner, lost).destroy();
  await settle();
  expect(inner.destroyed).toBe(true);
});
