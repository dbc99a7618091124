/** Where a replication lands: a store, or a DuckDB database with a store of its own beside it. */

import { fileURLToPath } from 'node:url';
import { LongshoreError } from '../errors.ts';
import { parseStoreUrl, type StoreUrl } from './store-url.ts';

export interface ReplicaUrl {
  /** Of files and manifests; of a DuckDB database, the folder `<file>.longshore/`, from which files are applied. */
  readonly store: StoreUrl;
  /** Path of the DuckDB database; undefined where files stay what they are. */
  readonly duckdb: string | undefined;
}

/**
 * Parses `duckdb:///folder/file.duckdb`, or the URL of a store.
 * @throws URL_INVALID
 */
export function parseReplicaUrl(text: string): ReplicaUrl {
  if (!text.startsWith(SCHEME)) return { store: parseStoreUrl(text), duckdb: undefined };
  const path = pathOf(text);
  return {
    store: { kind: 'files', folder: `${path}.longshore/`, prefix: '' },
    duckdb: path,
  };
}

const SCHEME = 'duckdb:';

function pathOf(text: string): string {
  const rest = text.slice(SCHEME.length);
  if (!rest.startsWith('//')) throw invalid(text, 'a path begins with a slash');
  if (/[?#]/.test(rest)) throw invalid(text, 'it has no options; write %3F for ? and %23 for #');
  let path: string;
  try {
    path = fileURLToPath(`file:${rest}`);
  } catch (error) {
    throw invalid(text, error instanceof Error ? error.message : 'not a file URL');
  }
  if (path.endsWith('/')) throw invalid(text, 'it names a folder');
  return path;
}

function invalid(text: string, why: string): LongshoreError {
  return new LongshoreError('URL_INVALID', `cannot read "${text}" as the URL of a DuckDB database: ${why}`, {
    hint: 'write duckdb:///folder/file.duckdb',
  });
}
