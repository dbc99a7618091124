/** Writes answers: results, error documents, and answers that go wrong on command. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { RequestLine, S3Response } from './exchange.ts';
import type { Fault } from './faults.ts';
import { errorDocument, messageOfCode, S3Error } from './s3-error.ts';

export function sendResponse(
  response: ServerResponse,
  result: S3Response,
  line: Pick<RequestLine, 'method'>,
  requestId: string,
): void {
  const { status, headers, body, contentLengthBytes } = result;
  const length =
    contentLengthBytes ??
    (typeof body === 'string'
      ? Buffer.byteLength(body)
      : body instanceof Uint8Array
        ? body.byteLength
        : body === undefined
          ? 0
          : undefined);
  const all = ['x-amz-request-id', requestId, 'Date', new Date().toUTCString(), ...headers];
  if (length !== undefined && status !== 204 && status !== 304) all.push('Content-Length', String(length));
  response.writeHead(status, all);
  if (line.method === 'HEAD' || body === undefined) response.end();
  else if (typeof body === 'string' || body instanceof Uint8Array) response.end(body);
  else {
    // A client that goes away in the middle of a body ends the stream; nothing is left to be told.
    pipeline(Readable.from(body), response).catch(() => response.destroy());
  }
}

export function sendError(
  response: ServerResponse,
  error: unknown,
  line: RequestLine | undefined,
  requestId: string,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const failure = error instanceof S3Error ? error : undefined;
  if (failure === undefined) process.emitWarning(error instanceof Error ? error : String(error));
  const code = failure?.code ?? 'InternalError';
  const body = errorDocument(
    code,
    failure?.message ?? messageOfCode(code),
    failure?.details ?? {},
    line?.path ?? '/',
    requestId,
  );
  const headers = ['Content-Type', 'application/xml', ...(failure?.headers ?? [])];
  sendResponse(
    response,
    { status: failure?.status ?? 500, headers, body },
    { method: line?.method ?? 'GET' },
    requestId,
  );
}

/** Answers a request as the fault says, doing the work or not. */
export async function sendWithFault(
  fault: Fault,
  work: () => Promise<S3Response>,
  message: IncomingMessage,
  response: ServerResponse,
  line: RequestLine,
  requestId: string,
): Promise<void> {
  const refuse = (status: number, code: string, headers: readonly string[] = []): void => {
    message.resume();
    const body = errorDocument(code, messageOfCode(code), {}, line.path, requestId);
    sendResponse(
      response,
      { status, headers: ['Content-Type', 'application/xml', ...headers], body },
      line,
      requestId,
    );
  };
  switch (fault.kind) {
    case 'status':
      refuse(
        fault.status,
        fault.code,
        fault.retryAfterSeconds === undefined ? [] : ['Retry-After', String(fault.retryAfterSeconds)],
      );
      return;
    case 'expired-token':
      refuse(400, 'ExpiredToken');
      return;
    case 'denied':
      refuse(403, 'AccessDenied');
      return;
    case 'error-in-200': {
      message.resume();
      const document = errorDocument(fault.code, messageOfCode(fault.code), {}, line.path, requestId);
      const [start, rest] = [document.indexOf('\n') + 1, document];
      response.writeHead(200, ['Content-Type', 'application/xml']);
      response.write(rest.slice(0, start));
      response.write(' '.repeat(fault.spaces ?? 100));
      response.end(rest.slice(start));
      return;
    }
    case 'reset-before':
      message.socket.destroy();
      return;
    case 'reset-after':
      await work();
      message.socket.destroy();
      return;
    case 'empty-200':
      if (fault.work === true) await work();
      message.resume();
      response.writeHead(200, ['Content-Length', '0']).end();
      return;
    case 'stall': {
      const result = await work();
      await wait(fault.ms, undefined, { ref: false });
      if (!response.destroyed) sendResponse(response, result, line, requestId);
      return;
    }
    case 'truncated-200': {
      const result = await work();
      const body = typeof result.body === 'string' ? Buffer.from(result.body) : result.body;
      if (!(body instanceof Uint8Array)) {
        message.socket.destroy();
        return;
      }
      const half = body.subarray(0, Math.floor(body.byteLength / 2));
      if (fault.end === 'early') {
        response.writeHead(result.status, [...result.headers]).end(half);
        return;
      }
      response.writeHead(result.status, [...result.headers, 'Content-Length', String(body.byteLength)]);
      response.write(half, () => message.socket.destroy());
    }
  }
}
