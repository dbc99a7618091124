/** Says what a move would do: what it concerns, what it costs, how long it takes, what stands in its way. */

import type { BucketSettings } from '../../stores/object-store.ts';
import { AWS_LIMITS } from '../../stores/s3/s3-client.ts';
import type { MoveScope } from './context.ts';
import { rowsAreIndexed } from './copy-stage.ts';
import type { DanglingRow } from './dangling-rows.ts';
import {
  archivedFinding,
  bucketFindings,
  columnFindings,
  type Finding,
  findingOf,
  lengthFinding,
  sortFindings,
} from './findings.ts';
import { checkInventory } from './inventory.ts';
import type { Collision } from './lay-out.ts';
import { describeCollision } from './lay-out-pass.ts';
import { type MoveEnvironment, openScope } from './open-scope.ts';
import { drivenByRows } from './passes.ts';
import {
  type EstimateInput,
  estimateRequests,
  estimateTime,
  type RequestEstimate,
  type TimeEstimate,
} from './plan-estimate.ts';
import type { ExpectedProofs } from './plan-objects.ts';
import { type Survey, surveyMove } from './plan-survey.ts';
import { batchDecision } from './s3-batch-stage.ts';
import { deletionGraceMs, type MoveOptions, resolveMoveOptions } from './settings.ts';

export interface PlanEnvironment extends MoveEnvironment {
  readonly signal?: AbortSignal | undefined;
}

/** Plain data, frozen. */
export interface MovePlan {
  readonly from: string;
  readonly to: string;
  /** Whether a listing of the bucket or the rows say what is moved, and why. */
  readonly driver: { readonly by: 'listing' | 'rows' | 'inventory'; readonly why: string };
  readonly objects: {
    /** What the move concerns, orphans that are left in place not counted. */
    readonly count: number;
    readonly bytes: number;
    readonly toCopy: number;
    readonly bytesToCopy: number;
    /** Objects whose target exists. */
    readonly already: number;
    /** Objects under the source's prefix that the rules or filters leave out. */
    readonly excluded: number;
    /** Objects that no row names; undefined where the source was not listed or no column is given. */
    readonly orphans: number | undefined;
    /** Objects to copy that must be restored first. */
    readonly archived: number;
  };
  readonly columns: readonly PlannedColumn[];
  /** Rows whose object exists on neither side. */
  readonly missing: { readonly count: number; readonly listed: readonly DanglingRow[] };
  readonly proofs: Readonly<ExpectedProofs>;
  readonly requests: readonly RequestEstimate[];
  /** Price of the requests, in US dollars. */
  readonly usd: number;
  readonly time: TimeEstimate;
  /** How long moved objects stay in the source; undefined when they are not deleted. */
  readonly graceSeconds: number | undefined;
  readonly collisions: { readonly count: number; readonly listed: readonly Collision[] };
  readonly findings: readonly Finding[];
}

export interface PlannedColumn {
  readonly name: string;
  readonly indexed: boolean;
  /** Rows of the table, from statistics. */
  readonly rowsEstimate: number;
  /** Rows that name at least one object that is moved: these change. */
  readonly rows: number;
}

/**
 * Plans a move. Reads every row of the columns and lists the source, so that the counts are those of this moment.
 * Changes nothing, except that marker objects `.longshore-probe-…` come and go under both prefixes where they may.
 * Needs about 100 bytes a naming row in the system's temporary folder.
 *
 * @returns a frozen plain object; `collisions.count` other than 0 means that the move would not start
 * @throws {LongshoreError} what keeps the move from being opened, as `move` does
 * @example
 * ```ts
 * import { planMove } from 'longshore';
 * const plan = await planMove({ from: 's3://legacy/image/', to: 's3://production/avatar/' });
 * console.log(plan.objects.toCopy, plan.usd, plan.time.floorSeconds);
 * ```
 */
export async function planMove(options: MoveOptions, environment: PlanEnvironment = {}): Promise<MovePlan> {
  const settings = resolveMoveOptions(options);
  const signal = environment.signal ?? new AbortController().signal;
  const findings: Finding[] = [];
  const emit: MoveEnvironment['emit'] = (event) => {
    if (event.type === 'notice') findings.push({ level: 'info', what: event.text, fix: 'nothing to do' });
    environment.emit?.(event);
  };
  await using opened = await openScope(settings, { ...environment, emit }, signal);
  const { scope } = opened;
  await checkInventory(scope, signal);
  const survey = await surveyMove(scope, { ...AWS_LIMITS, ...environment.limits }, signal);
  for (const side of ['source', 'target'] as const) {
    try {
      const bucket: BucketSettings = await scope[side].settings(signal);
      findings.push(...bucketFindings(side, scope[side].name, bucket, settings));
    } catch (error) {
      signal.throwIfAborted();
      findings.push(findingOf(error));
    }
  }
  const byRows = drivenByRows(scope);
  let byJobs = false;
  if (settings.copyWith === 's3-batch') {
    const { why, operation } = batchDecision(scope, byRows);
    findings.push({ level: 'info', what: why, fix: 'nothing to do' });
    byJobs = operation !== 'none';
  }
  return deepFreeze(planOf(scope, { byRows, byJobs }, survey, findings));
}

/** Whether rows say what is moved, and whether jobs of S3 Batch copy it. */
export interface Driven {
  readonly byRows: boolean;
  readonly byJobs: boolean;
}

/** The plan that a survey comes to. Pure. */
export function planOf(
  scope: PlannedScope,
  driven: Driven,
  survey: Survey,
  findings: readonly Finding[],
): MovePlan {
  const { settings, columns } = scope;
  const { counts } = survey;
  const input = estimateInput(scope, driven, survey);
  const requests = estimateRequests(input);
  const graceMs = deletionGraceMs(settings);
  return {
    from: settings.from,
    to: settings.to,
    driver: driverOf(scope, driven.byRows),
    objects: {
      count: counts.count,
      bytes: counts.bytes,
      toCopy: counts.toCopy,
      bytesToCopy: counts.bytesToCopy,
      already: counts.already,
      excluded: survey.excluded,
      orphans: survey.listed && columns.length > 0 ? survey.orphans : undefined,
      archived: [...counts.archived.values()].reduce((sum, count) => sum + count, 0),
    },
    columns: columns.map(({ facts }, i) => ({
      name: facts.name,
      indexed: facts.indexed,
      rowsEstimate: facts.rowsEstimate,
      rows: survey.columns[i]!.rows,
    })),
    missing: survey.missing,
    proofs: counts.proofs,
    requests,
    usd: requests.reduce((sum, { usd }) => sum + usd, 0),
    time: estimateTime(input),
    graceSeconds: graceMs === undefined ? undefined : graceMs / 1000,
    collisions: survey.collisions,
    findings: sortFindings([...surveyFindings(scope, survey), ...findings]),
  };
}

/** What the plan takes from the opened move. */
export type PlannedScope = Pick<MoveScope, 'settings' | 'rules' | 'columns' | 'sourceCapabilities'>;

function estimateInput(scope: PlannedScope, { byRows, byJobs }: Driven, survey: Survey): EstimateInput {
  const { settings, rules, sourceCapabilities } = scope;
  const { counts } = survey;
  return {
    drivenByRows: byRows,
    byJobs,
    objects: counts.count,
    copies: counts.toCopy,
    partedCopies: counts.partedCopies,
    parts: counts.parts,
    furtherProofs: counts.proofs.checksumOrBytes,
    pages: survey.pages,
    serverSide: survey.serverSide,
    acl: settings.acl,
    deletes: settings.delete === 'never' ? 0 : counts.count,
    conditionalDelete: sourceCapabilities.conditionalDelete,
    sourcePrefixes: rules.sourcePrefixes.length,
    targetPrefixes: rules.targetPrefixes.length,
    headMs: survey.headMs,
  };
}

function driverOf({ settings, columns }: PlannedScope, byRows: boolean): MovePlan['driver'] {
  if (settings.by !== 'auto') return { by: settings.by, why: `--by ${settings.by}` };
  if (columns.length === 0) return { by: 'listing', why: 'no column is given' };
  if (!byRows) {
    return { by: 'listing', why: 'the columns are indexed: the rows of each thousand objects are looked up' };
  }
  const slow = columns.filter((column) => !rowsAreIndexed([column])).map(({ facts }) => facts.name);
  return {
    by: 'rows',
    why: `values of ${slow.join(', ')} cannot be looked up in an index: every row is read`,
  };
}

function surveyFindings(scope: PlannedScope, survey: Survey): Finding[] {
  const { settings, columns } = scope;
  const { counts, collisions, missing, orphans } = survey;
  const findings: Finding[] = [];
  for (const [i, { facts }] of columns.entries()) {
    const { tooLong, rows } = survey.columns[i]!;
    findings.push(...columnFindings(facts), ...lengthFinding(facts, tooLong, rows));
  }
  if (survey.listed && counts.count + survey.excluded + orphans === 0) {
    findings.push({
      level: 'warning',
      what: `nothing lies under ${settings.from}`,
      fix: 'check the bucket and the prefix for a slip',
    });
  }
  findings.push(...archivedFinding(counts.archived, counts.toCopy));
  if (collisions.count > 0) {
    const [first] = collisions.listed;
    findings.push({
      level: settings.collisions === 'stop' ? 'error' : 'warning',
      what: `${n(collisions.count)} objects cannot go to their target: ${describeCollision(first!)}${collisions.count > 1 ? ', …' : ''}`,
      fix: 'change the rules so that every object has a place of its own, move the others away, or leave these with --collisions skip',
      code: 'TARGET_COLLISION',
    });
  }
  if (missing.count > 0) {
    findings.push({
      level: 'warning',
      what: `${n(missing.count)} rows name an object that exists on neither side`,
      fix: 'they are left as they are and reported; correct or delete them',
    });
  }
  if (orphans > 0 && settings.orphans !== 'move') {
    findings.push({
      level: 'info',
      what: `${n(orphans)} objects are named by no row and stay in the source`,
      fix: 'move them with --orphans move, or list them with `longshore audit`',
    });
  }
  return findings;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}

function n(value: number): string {
  return value.toLocaleString('en-US');
}
