/** A reader as a service has them: picks random rows, fetches the objects they name, counts what is missing. */

import pg from 'pg';

export interface Reader {
  /** Stops reading and tells what was seen. */
  stop(): Promise<{ reads: number; missing: number }>;
}

/**
 * @param fetchObject whether the object that a path names is there
 */
export function startReader(
  databaseUrl: string,
  idMax: number,
  fetchObject: (path: string) => Promise<boolean>,
): Reader {
  let stopping = false;
  let reads = 0;
  let missing = 0;
  const lane = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      while (!stopping) {
        const id = 1 + Math.floor(Math.random() * idMax);
        const { rows } = await client.query<{ path: string }>('SELECT path FROM avatars WHERE id = $1', [id]);
        const path = rows[0]?.path;
        if (path === undefined) continue;
        if (!(await fetchObject(path))) missing++;
        reads++;
      }
    } finally {
      await client.end();
    }
  };
  const lanes = Promise.all([lane(), lane()]);
  return {
    async stop() {
      stopping = true;
      await lanes;
      return { reads, missing };
    },
  };
}
