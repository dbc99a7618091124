/** Follows what CloudFormation does with a stack, until it is done with it. */

import { LongshoreError } from '../../../errors.ts';
import type { AwsSession } from '../../../platforms/aws/aws-session.ts';
import {
  describeStack,
  type StackEvent,
  type StackState,
  stackEvents,
} from '../../../platforms/aws/stacks.ts';
import type { CloneEnvironment } from '../settings.ts';

export interface FollowedStack {
  /** Undefined where it is gone. */
  readonly stack: StackState | undefined;
  /** Resources that failed for a reason of their own, the first one first. */
  readonly failures: readonly StackEvent[];
}

type Watching = Pick<CloneEnvironment, 'clock' | 'signal' | 'emit'>;

/** The newest event, after which those of what begins now come. */
export async function lastEvent(aws: AwsSession, stackId: string): Promise<string | undefined> {
  return (await stackEvents(aws, stackId, undefined)).at(-1)?.id;
}

/**
 * Each event is told as a `step`.
 * @param after the last event that is not told any more
 */
export async function followStack(
  aws: AwsSession,
  stackId: string,
  { clock, signal, emit }: Watching,
  after?: string,
): Promise<FollowedStack> {
  const failures: StackEvent[] = [];
  let known = after;
  for (;;) {
    // The state first: when it is the last one, all its events are there.
    const stack = await describeStack(aws, stackId);
    for (const event of stack === undefined ? [] : await stackEvents(aws, stackId, known)) {
      known = event.id;
      emit({ type: 'step', what: nameOf(event), state: event.status, reason: event.reason });
      if (event.status.endsWith('_FAILED') && !isConsequence(event)) failures.push(event);
    }
    if (stack === undefined || stack.status === 'DELETE_COMPLETE') return { stack: undefined, failures };
    if (!stack.status.endsWith('_IN_PROGRESS')) return { stack, failures };
    await clock.wait(POLL_MS, signal);
  }
}

/** CloudFormation allows few calls a second to all of an account. */
const POLL_MS = 5_000;

/** What ended since another resource failed, or is the stack as a whole. */
function isConsequence({ type, reason }: StackEvent): boolean {
  return type === 'AWS::CloudFormation::Stack' || /cancelled/i.test(reason ?? '');
}

function nameOf({ resource, type }: StackEvent): string {
  return `${resource} (${type})`;
}

/** @param doing `make`, `delete` */
export function stackFailure(
  doing: string,
  stackName: string,
  { stack, failures }: FollowedStack,
  hint: string,
): LongshoreError {
  const first = failures[0];
  const what = first === undefined ? 'it' : nameOf(first);
  const why = first?.reason ?? stack?.reason ?? `the stack is ${stack?.status ?? 'gone'}`;
  return new LongshoreError(
    'RUN_INCOMPLETE',
    `CloudFormation could not ${doing} ${what} of the stack ${stackName}: ${why}`,
    {
      hint,
      context: { stack: stackName, status: stack?.status ?? 'gone' },
    },
  );
}
