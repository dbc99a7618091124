/** What AWS DMS calls table statistics, counted up from epoch to epoch, so that the newest manifest has all of them. Pure. */

import type { Manifest, ManifestStatistics } from './manifest.ts';

export const NO_STATISTICS: ManifestStatistics = {
  loaded: 0,
  inserts: 0,
  updates: 0,
  deletes: 0,
  ddls: 0,
  truncations: 0,
  files: 0,
  bytes: 0,
};

/** A manifest whose tables count what is in it, beside what they counted before. */
export function counted(manifest: Manifest): Manifest {
  const { kind, lastCommitMicros } = manifest;
  const tables = manifest.tables.map((table) => {
    const isOf = (one: { readonly schema: string; readonly table: string }): boolean =>
      one.schema === table.schema && one.table === table.name;
    const files = manifest.files.filter(isOf);
    const events = manifest.events.filter(isOf);
    const before = table.statistics;
    const sum = (pick: (file: (typeof files)[number]) => number | undefined): number =>
      files.reduce((total, file) => total + (pick(file) ?? 0), 0);
    const statistics: ManifestStatistics = {
      ...before,
      loaded: before.loaded + (kind === 'changes' ? 0 : sum(({ rows }) => rows)),
      inserts: before.inserts + sum(({ inserts }) => inserts),
      updates: before.updates + sum(({ updates }) => updates),
      deletes: before.deletes + sum(({ deletes }) => deletes),
      ddls: before.ddls + events.filter((event) => event.kind === 'schema').length,
      truncations: before.truncations + events.filter((event) => event.kind === 'truncate').length,
      files: before.files + files.length,
      bytes: before.bytes + sum(({ bytes }) => bytes),
    };
    const lastLsn = files.findLast((file) => file.lastLsn !== undefined)?.lastLsn;
    if (lastLsn === undefined) return { ...table, statistics };
    const commit = lastCommitMicros === undefined ? {} : { lastCommitMicros };
    return { ...table, statistics: { ...statistics, lastLsn, ...commit } };
  });
  return { ...manifest, tables };
}
