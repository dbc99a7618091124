/** What a move costs in requests, money and time, from counts alone. */

/** What was counted; all of the whole move. */
export interface EstimateInput {
  readonly drivenByRows: boolean;
  /** Objects of the source that the move concerns. */
  readonly objects: number;
  /** Objects to be copied, parts included. */
  readonly copies: number;
  /** Of these, copied in parts; and their parts. */
  readonly partedCopies: number;
  readonly parts: number;
  /** Objects whose ETag does not prove them: both sides are asked by HEAD. */
  readonly furtherProofs: number;
  /** Pages in which the source lists. */
  readonly pages: number;
  /** Whether the store copies by itself; else bytes are streamed. */
  readonly serverSide: boolean;
  /** Whether jobs of S3 Batch Operations make the copies. */
  readonly byJobs?: boolean | undefined;
  readonly acl: boolean;
  /** Objects that leave the source. */
  readonly deletes: number;
  readonly conditionalDelete: 'batch' | 'single' | 'none';
  readonly sourcePrefixes: number;
  readonly targetPrefixes: number;
  /** Median of a few HEADs, where they were made. */
  readonly headMs?: number | undefined;
}

/** `BATCH JOB` and `BATCH TASK` are no requests of ours, but are paid as such. */
export type RequestKind = 'COPY' | 'PUT' | 'LIST' | 'HEAD' | 'GET' | 'DELETE' | 'BATCH JOB' | 'BATCH TASK';

export interface RequestEstimate {
  readonly kind: RequestKind;
  readonly count: number;
  readonly usd: number;
}

export interface TimeEstimate {
  /** What S3's own limits allow at best, copies and deletions one after the other. */
  readonly floorSeconds: number;
  /** From the round trip that was measured; undefined where nothing was. */
  readonly likelySeconds?: number | undefined;
  /** What the two numbers rest on. */
  readonly basis: string;
}

/**
 * Dollars a request, S3 Standard in us-east-1, without the bytes that leave a region.
 * Source: "Amazon S3 pricing", https://aws.amazon.com/s3/pricing/, requests and data retrievals: PUT, COPY, POST, LIST
 * $0.005 per 1,000; GET, SELECT and all others $0.0004 per 1,000; DELETE free. Management and insights, S3 Batch
 * Operations: $0.25 per job, $1.00 per million object operations; what these request is paid as always.
 */
export const USD_PER_REQUEST: Readonly<Record<RequestKind, number>> = {
  COPY: 0.005 / 1000,
  PUT: 0.005 / 1000,
  LIST: 0.005 / 1000,
  HEAD: 0.0004 / 1000,
  GET: 0.0004 / 1000,
  DELETE: 0,
  'BATCH JOB': 0.25,
  'BATCH TASK': 1 / 1_000_000,
};

/**
 * "At least 3,500 PUT/COPY/POST/DELETE requests per second per partitioned prefix" ("Best practices design patterns:
 * optimizing Amazon S3 performance"). Each key of a DeleteObjects counts as one write.
 */
export const WRITES_PER_SECOND = 3500;

const PAGE_KEYS = 1000;

/** Requests that one run sends, and what they cost. An upper bound where it depends on how keys lie. */
export function estimateRequests(input: EstimateInput): RequestEstimate[] {
  const { objects, copies, partedCopies, parts, pages, furtherProofs, deletes } = input;
  const writes = copies - partedCopies + parts + 2 * partedCopies;
  const counts: Record<RequestKind, number> = {
    COPY: 0,
    PUT: 0,
    LIST: 0,
    HEAD: 0,
    GET: 0,
    DELETE: 0,
    'BATCH JOB': 0,
    'BATCH TASK': 0,
  };
  counts[input.serverSide ? 'COPY' : 'PUT'] += writes;
  if (!input.serverSide) {
    counts.HEAD += copies;
    counts.GET += copies;
  }
  counts.HEAD += 2 * furtherProofs + 2 * partedCopies;
  if (input.drivenByRows) {
    // Keys of neighbouring rows may lie far apart: source, target and proof are then asked key by key.
    counts.HEAD += 3 * objects;
  } else {
    // Laid out, looked at on the target, listed again by the shards; copies are proven a thousand at a time.
    counts.LIST += 3 * pages + Math.ceil(copies / PAGE_KEYS);
    // The last pass lists what is left in the source, and looks for it on the target.
    counts.LIST += 3 * Math.ceil((objects - deletes) / PAGE_KEYS) + 1;
  }
  const tasks = input.byJobs === true ? copies - partedCopies : 0;
  if (tasks > 0) {
    // One job; each further folder or storage class makes another. An invoked function is paid to Lambda.
    counts['BATCH JOB'] = 1;
    counts['BATCH TASK'] = tasks;
    // Targets are looked at before the manifest is made and after the job.
    counts.LIST += 2 * Math.ceil(tasks / PAGE_KEYS);
  }
  if (input.acl) {
    counts.GET += copies;
    counts.PUT += copies;
  }
  counts.DELETE += input.conditionalDelete === 'single' ? deletes : Math.ceil(deletes / PAGE_KEYS);
  if (input.conditionalDelete === 'none') counts.LIST += Math.ceil(deletes / PAGE_KEYS);
  return (Object.entries(counts) as [RequestKind, number][])
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => ({ kind, count, usd: count * USD_PER_REQUEST[kind] }));
}

/** Requests that Longshore has under way at most, a copy in round trips of a HEAD, and copies a second on one core. */
const CONCURRENCY = 256;
const COPY_IN_HEADS = 3;
const COPIES_PER_SECOND_OF_CORE = 5000;

export function estimateTime(input: EstimateInput): TimeEstimate {
  const writes = input.copies + input.parts + input.partedCopies;
  const copyLimit = WRITES_PER_SECOND * Math.max(1, input.targetPrefixes);
  const deleteLimit = WRITES_PER_SECOND * Math.max(1, input.sourcePrefixes);
  const floorSeconds = writes / copyLimit + input.deletes / deleteLimit;
  const floor = `${WRITES_PER_SECOND.toLocaleString('en-US')} writes a second and prefix, each copy and each deletion one write`;
  if (input.headMs === undefined || !input.serverSide) {
    const why = input.serverSide ? '' : '; streamed copies go as fast as the line';
    return { floorSeconds, basis: `floor: ${floor}${why}` };
  }
  const reachable = (CONCURRENCY * 1000) / (COPY_IN_HEADS * Math.max(input.headMs, 0.1));
  const copyRate = Math.min(copyLimit, reachable, COPIES_PER_SECOND_OF_CORE);
  return {
    floorSeconds,
    likelySeconds: writes / copyRate + input.deletes / deleteLimit,
    basis: `floor: ${floor}; likely: a HEAD took ${input.headMs.toFixed(1)} ms, a copy is taken for ${COPY_IN_HEADS} of them, ${CONCURRENCY} at once; rows and grace periods come on top`,
  };
}
