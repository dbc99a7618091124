import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CopyStream } from './copy-stream.ts';

/** A message as the server sends it. */
function message(code: string, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload as string);
  const header = Buffer.alloc(5, code);
  header.writeInt32BE(body.byteLength + 4, 1);
  return Buffer.concat([header, body]);
}

const OUT = message('H', Buffer.from([1, 0, 1, 0, 1]));
const BOTH = message('W', Buffer.from([0, 0, 0]));
const DONE = message('c');
const COMPLETE = message('C', 'COPY 2\0');
const READY = message('Z', 'I');
const ERROR = message('E', 'SERROR\0C57014\0Mcanceled\0\0');
const data = (payload: Buffer | string) => message('d', payload);

class Socket extends EventEmitter {
  readonly written: Buffer[] = [];
  paused = false;
  destroyed = false;
  write(bytes: Buffer): boolean {
    this.written.push(Buffer.from(bytes));
    return true;
  }
  pause(): this {
    this.paused = true;
    return this;
  }
  resume(): this {
    this.paused = false;
    return this;
  }
  destroy(): void {
    this.destroyed = true;
  }
}

/** A copy that has been submitted, what it gave out, and what came back to the driver. */
function setUp(
  onData: (payload: Buffer) => void = () => undefined,
  onBlockEnd: () => void = () => undefined,
) {
  const socket = new Socket();
  const driver: Buffer[] = [];
  const payloads: Buffer[] = [];
  const queries: string[] = [];
  const driverListener = (chunk: Buffer) => driver.push(Buffer.from(chunk));
  socket.on('data', driverListener);
  const copy = new CopyStream(
    'COPY t TO STDOUT',
    (bytes, at, end) => {
      const payload = Buffer.from(bytes.subarray(at, end));
      payloads.push(payload);
      onData(payload);
    },
    onBlockEnd,
  );
  copy.submit({ stream: socket as never, query: (text) => queries.push(text) });
  const receive = (...chunks: readonly Buffer[]) => {
    for (const chunk of chunks) socket.emit('data', chunk);
  };
  return {
    socket,
    copy,
    payloads,
    queries,
    receive,
    driverHas: () => Buffer.concat(driver).toString('latin1'),
    isDrivers: () => socket.listeners('data').length === 1 && socket.listeners('data')[0] === driverListener,
  };
}

/** Cuts bytes at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const edges = [0, ...[...places].sort((a, b) => a - b), bytes.byteLength];
  return edges.slice(1).map((end, i) => Buffer.from(bytes.subarray(edges[i], end)));
}

async function settled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol();
  const first = await Promise.race([
    promise.catch(() => undefined),
    new Promise((resolve) => setImmediate(resolve, open)),
  ]);
  return first !== open;
}

const SESSION = Buffer.concat([
  OUT,
  data('one'),
  message('N', 'SNOTICE\0\0'),
  data(''),
  message('S', 'TimeZone\0UTC\0'),
  data(Buffer.from([0x63, 0, 0, 0, 4, 0xff])),
  DONE,
  COMPLETE,
  READY,
]);
const SESSION_PAYLOADS = ['one', '', 'c\0\0\0\x04\xff'];
const SESSION_DRIVER = Buffer.concat([COMPLETE, READY]).toString('latin1');

test('the socket is taken from the driver, and the text is sent', async () => {
  const { socket, queries, isDrivers, receive, driverHas, copy } = setUp();
  expect(queries).toEqual(['COPY t TO STDOUT']);
  expect(socket.listenerCount('data')).toBe(1);
  expect(isDrivers()).toBe(false);
  receive(OUT, data('row'));
  expect(driverHas()).toBe('');
  expect(await settled(copy.done)).toBe(false);
});

test('every payload comes out once, wherever the bytes are cut in two', () => {
  for (let at = 0; at <= SESSION.byteLength; at++) {
    const { payloads, receive, driverHas, isDrivers } = setUp();
    receive(...cut(SESSION, [at]));
    expect(payloads.map((bytes) => bytes.toString('latin1'))).toEqual(SESSION_PAYLOADS);
    expect(driverHas()).toBe(SESSION_DRIVER);
    expect(isDrivers()).toBe(true);
  }
});

test('every payload comes out once where each byte comes alone', () => {
  const { payloads, receive, driverHas } = setUp();
  receive(...cut(SESSION, Array.from(SESSION.keys()).slice(1)));
  expect(payloads.map((bytes) => bytes.toString('latin1'))).toEqual(SESSION_PAYLOADS);
  expect(driverHas()).toBe(SESSION_DRIVER);
});

test('payloads of any size, cut anywhere', () => {
  const size = fc.oneof(fc.nat(20), fc.nat(5000));
  fc.assert(
    fc.property(
      fc.array(size, { maxLength: 20 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 }),
      (sizes, places) => {
        const sent = sizes.map((length, i) => Buffer.alloc(length, `${i}:abcdefgh`));
        const bytes = Buffer.concat([OUT, ...sent.map(data), DONE, COMPLETE, READY]);
        const { payloads, receive, driverHas } = setUp();
        receive(
          ...cut(
            bytes,
            places.map((place) => Math.floor(place * bytes.byteLength)),
          ),
        );
        expect(payloads).toHaveLength(sent.length);
        expect(payloads.every((payload, i) => payload.equals(sent[i]!))).toBe(true);
        expect(driverHas()).toBe(SESSION_DRIVER);
      },
    ),
  );
});

test('a large message that comes in many chunks is joined once', () => {
  const large = Buffer.alloc(20_000_000, 'abcdefghijklmnopqrstuvwxyz0123456789!');
  const bytes = Buffer.concat([OUT, data('small'), data(large), data('behind'), DONE]);
  const { payloads, receive, isDrivers } = setUp();
  for (let at = 0; at < bytes.byteLength; at += 1000) receive(bytes.subarray(at, at + 1000));
  expect(payloads.map(({ byteLength }) => byteLength)).toEqual([5, large.byteLength, 6]);
  expect(payloads[1]!.equals(large)).toBe(true);
  expect(payloads[2]!.toString()).toBe('behind');
  expect(isDrivers()).toBe(true);
});

test('a payload is given out as soon as it is whole', () => {
  const { payloads, receive } = setUp();
  const bytes = data('payload');
  receive(OUT, bytes.subarray(0, 3));
  receive(bytes.subarray(3, -1));
  expect(payloads).toHaveLength(0);
  receive(bytes.subarray(-1));
  expect(payloads.map(String)).toEqual(['payload']);
});

test('it has started once the server answers, with data one way or both', async () => {
  for (const answer of [OUT, BOTH]) {
    const { copy, receive } = setUp();
    receive(message('N', 'SNOTICE\0\0'), answer.subarray(0, -1));
    expect(await settled(copy.started)).toBe(false);
    receive(answer.subarray(-1));
    expect(await settled(copy.started)).toBe(true);
  }
});

test('it is done when the driver says that the server is ready', async () => {
  const { copy, receive } = setUp();
  receive(SESSION);
  expect(await settled(copy.done)).toBe(false);
  copy.handleCommandComplete();
  expect(await settled(copy.done)).toBe(false);
  copy.handleReadyForQuery();
  await copy.done;
});

test('an error in the middle goes to the driver whole, wherever it is cut', async () => {
  const bytes = Buffer.concat([OUT, data('one'), ERROR, READY]);
  for (let at = 0; at <= bytes.byteLength; at++) {
    const { copy, payloads, receive, driverHas, isDrivers } = setUp();
    receive(...cut(bytes, [at]));
    expect(payloads.map(String)).toEqual(['one']);
    expect(driverHas()).toBe(Buffer.concat([ERROR, READY]).toString('latin1'));
    expect(isDrivers()).toBe(true);
    const error = new Error('canceled');
    copy.handleError(error);
    copy.handleReadyForQuery();
    await expect(copy.done).rejects.toBe(error);
  }
});

test('a query that is refused never starts', async () => {
  const { copy, receive, driverHas, isDrivers } = setUp();
  receive(Buffer.concat([ERROR, READY]));
  expect(driverHas()).toBe(Buffer.concat([ERROR, READY]).toString('latin1'));
  expect(isDrivers()).toBe(true);
  copy.handleError(new Error('syntax error'));
  await expect(copy.done).rejects.toThrow('syntax error');
  expect(await settled(copy.started)).toBe(false);
});

test('what comes after the hand-back goes to the driver alone', () => {
  const { payloads, receive, driverHas } = setUp();
  receive(OUT, DONE, COMPLETE, READY, data('of another'));
  expect(payloads).toEqual([]);
  expect(driverHas()).toBe(Buffer.concat([COMPLETE, READY, data('of another')]).toString('latin1'));
});

test('a connection that is lost gives the socket back and fails', async () => {
  const { copy, receive, isDrivers, socket } = setUp();
  receive(OUT, data('cut off').subarray(0, 8));
  copy.pause();
  copy.handleError(new Error('Connection terminated'));
  await expect(copy.done).rejects.toThrow('Connection terminated');
  expect(isDrivers()).toBe(true);
  expect(socket.paused).toBe(false);
});

test('a reader that throws fails the copy, gets no more, and ends the connection', async () => {
  const error = new Error('disk full');
  const { copy, payloads, receive, socket, driverHas } = setUp((payload) => {
    if (payload.toString() === 'two') throw error;
  });
  receive(Buffer.concat([OUT, data('one'), data('two'), data('three'), DONE]));
  expect(payloads.map(String)).toEqual(['one', 'two']);
  expect(socket.destroyed).toBe(true);
  copy.handleError(new Error('Connection terminated'));
  copy.handleReadyForQuery();
  await expect(copy.done).rejects.toBe(error);
  expect(driverHas()).toBe('');
});

test('the end of a block is told while its bytes are good, and before the driver goes on', () => {
  const events: string[] = [];
  const { receive, driverHas } = setUp(
    (payload) => events.push(payload.toString()),
    () => events.push(`end, driver has ${driverHas().length}`),
  );
  receive(OUT, Buffer.concat([data('one'), data('two'), data('three').subarray(0, 6)]));
  receive(Buffer.concat([data('three').subarray(6), data('four'), DONE, COMPLETE, READY]));
  const end = 'end, driver has 0';
  expect(events).toEqual([end, 'one', 'two', end, 'three', 'four', end]);
  expect(driverHas()).toBe(SESSION_DRIVER);
});

test('an error at the end of a block fails the copy, also of the last one', async () => {
  for (const chunks of [
    [OUT, data('one'), data('two')],
    [OUT, Buffer.concat([data('one'), DONE, COMPLETE, READY])],
  ]) {
    const error = new Error('disk full');
    let isBroken = false;
    const { receive, copy, payloads, socket, driverHas } = setUp(
      () => {
        isBroken = true;
      },
      () => {
        if (isBroken) throw error;
      },
    );
    for (const chunk of chunks) if (!socket.destroyed) receive(chunk);
    expect(payloads.map(String)).toEqual(['one']);
    expect(socket.destroyed).toBe(true);
    copy.handleReadyForQuery();
    await expect(copy.done).rejects.toBe(error);
    expect(driverHas()).toBe('');
  }
});

test('it pauses and resumes the socket', () => {
  const { copy, socket, receive } = setUp();
  receive(OUT);
  copy.pause();
  expect(socket.paused).toBe(true);
  copy.resume();
  expect(socket.paused).toBe(false);
});

test('a pause at the last payload does not outlast the copy', () => {
  const { socket, receive, copy, isDrivers } = setUp(() => copy.pause());
  receive(Buffer.concat([OUT, data('last'), DONE, COMPLETE, READY]));
  expect(isDrivers()).toBe(true);
  expect(socket.paused).toBe(false);
});

test('it does not resume a socket that is not its own any more', () => {
  const { copy, socket, receive } = setUp();
  receive(SESSION);
  socket.pause();
  copy.resume();
  expect(socket.paused).toBe(true);
});

test('data and the end of it go to the server as messages', () => {
  const { copy, socket, receive } = setUp();
  receive(BOTH);
  copy.send(Buffer.from('r\0\xff', 'latin1'));
  copy.send(Buffer.alloc(70_000, 'x'));
  copy.end();
  expect(
    Buffer.concat(socket.written).equals(
      Buffer.concat([data(Buffer.from('r\0\xff', 'latin1')), data(Buffer.alloc(70_000, 'x')), message('c')]),
    ),
  ).toBe(true);
});
