import { expect, it } from 'vitest';
import { ConnectionWaits } from './connection-waits.ts';

const doing = { action: 'read the catalogue of db', database: 'db' };

it('gives back a connection that comes when nobody waits any more', async () => {
  const back: string[] = [];
  const waits = new ConnectionWaits<string>((connection) => back.push(connection));
  const late = Promise.withResolvers<string>();
  const waiting = waits.wait(() => late.promise, doing, undefined);
  waits.close();
  late.resolve('late');
  await expect(waiting).rejects.toMatchObject({
    code: 'DATABASE_FAILED',
    message: 'Cannot read the catalogue of db: the database was closed meanwhile',
  });
  expect(back).toEqual(['late']);
});

it('does not connect once closed', async () => {
  const waits = new ConnectionWaits<string>(() => {});
  waits.close();
  const connect = () => expect.unreachable();
  await expect(waits.wait(connect, doing, undefined)).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
});

it('hands on the connection, the failure and the reason', async () => {
  const waits = new ConnectionWaits<string>(() => {});
  expect(await waits.wait(async () => 'one', doing, undefined)).toBe('one');
  const failure = new Error('refused');
  await expect(waits.wait(() => Promise.reject(failure), doing, undefined)).rejects.toBe(failure);
  const controller = new AbortController();
  const waiting = waits.wait(() => new Promise(() => {}), doing, controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});
