/**
 * Decides which operation of S3 Batch can make the copies of a move. Pure.
 *
 * Its copy (`S3PutObjectCopy`) keeps the whole source key and can only put a folder before it (`TargetKeyPrefix`, to
 * which S3 adds the slash); it takes no conditions. Everything else needs a Lambda function.
 * Reference: "Copy objects" of the Amazon S3 User Guide, `S3CopyObjectOperation` of the S3 Control API.
 */

/** A rule of the move: a prefix for a prefix, or a pattern. */
export type BatchRule =
  | { readonly kind: 'prefix'; readonly from: string; readonly to: string }
  | { readonly kind: 'pattern' };

export interface BatchFacts {
  /** Whether both sides are S3 on AWS. */
  readonly onAws: boolean;
  /** Whether the store copies by itself, the bytes not passing through us. */
  readonly serverSide: boolean;
  /** Whether rows and not a list of objects say what is moved. */
  readonly drivenByRows: boolean;
  readonly keepTags: boolean;
  /** Whether a function was given. */
  readonly lambda: boolean;
}

export interface BatchDecision {
  readonly operation: 'S3PutObjectCopy' | 'LambdaInvoke' | 'none';
  /** A sentence for the plan: which operation, and why. */
  readonly why: string;
}

/**
 * | on AWS, copied by S3, objects listed | function given | rules prepend a folder, tags kept | operation |
 * | --- | --- | --- | --- |
 * | no | – | – | none |
 * | yes | yes | – | LambdaInvoke: its copies are conditional |
 * | yes | no | yes | S3PutObjectCopy |
 * | yes | no | no | LambdaInvoke, and a function is asked for |
 */
export function batchOperationFor(rules: readonly BatchRule[], facts: BatchFacts): BatchDecision {
  const not = whyNot(facts);
  if (not !== undefined) {
    return { operation: 'none', why: `S3 Batch Operations are not used, Longshore copies itself: ${not}` };
  }
  if (facts.lambda) {
    return {
      operation: 'LambdaInvoke',
      why: 'S3 Batch Operations copy by the given Lambda function: only to absent targets, and only what the source still holds',
    };
  }
  const odd = facts.keepTags ? rules.find((rule) => prependedFolder(rule) === undefined) : undefined;
  if (facts.keepTags && odd === undefined) {
    return {
      operation: 'S3PutObjectCopy',
      why: 'S3 Batch Operations copy by themselves: the rules only put a folder before the key. Their copy takes no conditions: what appears at a target while the job runs is overwritten',
    };
  }
  const why =
    odd === undefined
      ? 'its copy always keeps tags'
      : odd.kind === 'pattern'
        ? 'its copy cannot apply a pattern to keys'
        : `its copy can only put a folder before the key, and "${odd.from}" becomes "${odd.to}"`;
  return {
    operation: 'LambdaInvoke',
    why: `S3 Batch Operations copy by a Lambda function, which Longshore prints: ${why}`,
  };
}

/**
 * What the copy operation would have to put before a key, with its slash: '' for nothing.
 * Undefined where it is not what the copy operation does.
 */
export function prependedFolderOf(sourceKey: string, targetKey: string): string | undefined {
  if (!targetKey.endsWith(sourceKey)) return undefined;
  const folder = targetKey.slice(0, targetKey.length - sourceKey.length);
  return folder === '' || (folder.endsWith('/') && folder !== '/') ? folder : undefined;
}

/** Objects above this go through our own engine, in parts. */
export const BATCH_COPY_BYTES_MAX = 5_000_000_000;

function prependedFolder(rule: BatchRule): string | undefined {
  return rule.kind === 'prefix' ? prependedFolderOf(rule.from, rule.to) : undefined;
}

function whyNot({ onAws, serverSide, drivenByRows }: BatchFacts): string | undefined {
  if (!onAws) return 'they exist on AWS only, for buckets on both sides';
  if (!serverSide)
    return 'the source and the target do not copy between each other, every object is streamed';
  if (drivenByRows) {
    return 'the rows say what is moved, and a job needs a list of objects; give --by listing or an inventory';
  }
  return undefined;
}
