/** The public API of Longshore. */

export { type ErrorCode, LongshoreError } from './errors.ts';
export { auditReferences } from './jobs/move/audit.ts';
export { checkMove } from './jobs/move/check.ts';
export type { MoveEvent, MoveListener } from './jobs/move/events.ts';
export { grantsFor } from './jobs/move/grants.ts';
export { planMove } from './jobs/move/plan.ts';
export { type MoveRunOptions, move } from './jobs/move/run.ts';
export type { MoveOptions } from './jobs/move/settings.ts';
export { moveStatus } from './jobs/move/status.ts';
export type { MoveSummary } from './jobs/move/summary.ts';
export type { Tally } from './jobs/move/tally.ts';
export { type UndoOptions, type UndoSummary, undoMove } from './jobs/move/undo.ts';
export { verifyMove } from './jobs/move/verify.ts';
export { checkReplication, type ReplicateCheck } from './jobs/replicate/check.ts';
export type { ReplicateEvent, ReplicateListener } from './jobs/replicate/events.ts';
export type { Manifest } from './jobs/replicate/manifest.ts';
export { planReplication } from './jobs/replicate/plan.ts';
export { dropReplicationOf, type ReplicateSummary, replicate } from './jobs/replicate/run.ts';
export type { ReplicateOptions } from './jobs/replicate/settings.ts';
export { type ReplicateStatus, replicateStatus, type TableStatistics } from './jobs/replicate/status.ts';
export { type VerifiedReplica, verifyReplica } from './jobs/replicate/verify.ts';
