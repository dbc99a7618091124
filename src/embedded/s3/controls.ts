/** Lets another process set faults and read counters, over the server's own port. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestLine } from './exchange.ts';
import type { FaultRule, Faults } from './faults.ts';

/**
 * `PUT /_faults` with a list of rules as JSON replaces the faults; `GET /_requests` answers the counters.
 * @returns whether the request was one of these
 */
export async function readControl(
  line: RequestLine,
  message: IncomingMessage,
  response: ServerResponse,
  faults: Faults,
  requests: Readonly<Record<string, number>>,
): Promise<boolean> {
  if (line.path === '/_requests' && line.method === 'GET') {
    response.writeHead(200, ['Content-Type', 'application/json']).end(JSON.stringify(requests));
    return true;
  }
  if (line.path !== '/_faults' || line.method !== 'PUT') return false;
  let text = '';
  for await (const chunk of message) text += String(chunk);
  faults.clear();
  for (const rule of JSON.parse(text) as FaultRule[]) faults.add(rule);
  response.writeHead(204).end();
  return true;
}
