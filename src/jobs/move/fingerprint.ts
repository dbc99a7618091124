/** What makes two calls the same move. */

import { parseDatabaseUrl, withoutPassword } from '../../config/database-url.ts';
import { s3Endpoint } from '../../config/s3-environment.ts';
import { parseStoreUrl } from '../../config/store-url.ts';
import { fingerprintOf } from '../../engine/run-folder.ts';
import type { MoveSettings } from './settings.ts';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Where from, where to, which rows, by which rules; with the servers that the environment adds to the URLs, so that a
 * run that was begun on one of them never goes on with another.
 */
export function moveFingerprint(settings: MoveSettings, env: Env): string {
  const { from, to, rules, urls, include, exclude } = settings;
  const rows = settings.rows.map(withoutPassword);
  const servers = [
    ...[from, to].map((url) => storeServer(url, env)),
    ...rows.map((url) => databaseServer(url, env)),
  ];
  return fingerprintOf('move', { from, to, rows, rules, urls, include, exclude, servers });
}

function storeServer(text: string, env: Env): string {
  const url = parseStoreUrl(text);
  if (url.kind !== 's3') return 'files';
  const endpoint = s3Endpoint(url, env);
  return endpoint !== undefined && URL.canParse(endpoint) ? new URL(endpoint).host : 'aws';
}

/** Who asks does not matter, which database is asked does. */
function databaseServer(text: string, env: Env): string {
  const { host, port, database } = parseDatabaseUrl(text, env).connection;
  return `${host}:${port}/${database}`;
}
