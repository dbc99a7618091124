/**
 * Brings the stack of a clone to where it is complete, whatever an earlier run left.
 *
 * The stack's name is what makes it one: CloudFormation refuses a second of the same name. A run that dies before
 * CreateStack leaves nothing; after it, a stack that the next run waits for; while a failed one is deleted, one that
 * the next run waits for and then makes again.
 */

import { randomUUID } from 'node:crypto';
import { LongshoreError } from '../../../errors.ts';
import type { AwsSession } from '../../../platforms/aws/aws-session.ts';
import {
  createStack,
  deleteStack,
  describeStack,
  type StackState,
  stackTemplate,
  updateStack,
} from '../../../platforms/aws/stacks.ts';
import type { CloneEnvironment } from '../settings.ts';
import { followStack, lastEvent, stackFailure } from './follow-stack.ts';
import { TAGS } from './names.ts';
import type { AuroraDraft } from './plan.ts';
import { isSameTemplate, nextForStack, type StackStep } from './stack-state.ts';
import { known } from './survey.ts';

export interface SettledStack {
  readonly stack: StackState;
  /** Whether it was there, or being made, before. */
  readonly existed: boolean;
}

/** @param tags of a stack that is made now */
export async function settleStack(
  aws: AwsSession,
  draft: AuroraDraft,
  tags: Readonly<Record<string, string>>,
  environment: CloneEnvironment,
): Promise<SettledStack> {
  let stack = known(draft.facts.stack);
  let { step } = draft;
  for (;;) {
    switch (step.kind) {
      case 'refuse':
        throw new LongshoreError('CHECK_FAILED', step.why, { hint: step.hint });
      case 'use':
        return { stack: await letIn(aws, stack!, draft, environment), existed: true };
      case 'wait':
        environment.emit({ type: 'phase', phase: 'wait for the stack' });
        await followStack(aws, stack!.id, environment);
        break;
      case 'remove':
        environment.emit({ type: 'phase', phase: 'delete what a failed attempt left' });
        await removeStack(aws, stack!, environment);
        break;
      case 'make': {
        const made = await make(aws, draft, tags, environment);
        if (made !== undefined) return { stack: made, existed: false };
        // Another process was faster: its stack is looked at.
        break;
      }
    }
    ({ stack, step } = await lookAgain(aws, draft));
  }
}

/** Deletes it and waits until it is gone. @throws RUN_INCOMPLETE with the reason where something stays */
export async function removeStack(
  aws: AwsSession,
  stack: StackState,
  environment: Pick<CloneEnvironment, 'clock' | 'signal' | 'emit' | 'failpoint'>,
  hint = 'remove what it names, and run again',
): Promise<void> {
  const after = await lastEvent(aws, stack.id);
  await deleteStack(aws, stack.id);
  environment.failpoint?.('stack deletion begun');
  const followed = await followStack(aws, stack.id, environment, after);
  if (followed.stack !== undefined) throw stackFailure('delete', stack.name, followed, hint);
}

async function make(
  aws: AwsSession,
  draft: AuroraDraft,
  tags: Readonly<Record<string, string>>,
  environment: CloneEnvironment,
): Promise<StackState | undefined> {
  environment.emit({ type: 'phase', phase: 'create the stack' });
  const id = await createStack(aws, {
    name: draft.facts.stackName,
    template: draft.template,
    parameters: {
      ClientCidr: cidrOf(draft),
      // Nobody gets to know this one: another is set before anybody logs in.
      ...(draft.plan.mode === 'create' ? { MasterUserPassword: randomUUID() } : {}),
    },
    tags,
    // The SDK repeats a call whose answer was lost, and this makes it the same one.
    token: randomUUID(),
  });
  if (id === undefined) return undefined;
  environment.failpoint?.('stack begun');
  const followed = await followStack(aws, id, environment);
  if (followed.stack?.status === 'CREATE_COMPLETE') return followed.stack;
  throw stackFailure(
    'make',
    draft.facts.stackName,
    followed,
    'correct what it names, and run again: what this attempt left is deleted then',
  );
}

/** Whoever converges again from elsewhere is let in: a change of one rule, which replaces nothing. */
async function letIn(
  aws: AwsSession,
  stack: StackState,
  draft: AuroraDraft,
  environment: CloneEnvironment,
): Promise<StackState> {
  const cidr = cidrOf(draft);
  if (stack.parameters['ClientCidr'] === cidr) return stack;
  environment.emit({ type: 'phase', phase: `let ${cidr} in` });
  const after = await lastEvent(aws, stack.id);
  await updateStack(aws, stack, { ClientCidr: cidr });
  environment.failpoint?.('stack update begun');
  const followed = await followStack(aws, stack.id, environment, after);
  if (followed.stack?.status === 'UPDATE_COMPLETE') return followed.stack;
  throw stackFailure('change', stack.name, followed, 'run again, or longshore clone drop it');
}

async function lookAgain(
  aws: AwsSession,
  { facts, template }: AuroraDraft,
): Promise<{ stack: StackState | undefined; step: StackStep }> {
  const stack = await describeStack(aws, facts.stackName);
  const isOurs = stack?.tags[TAGS.clone] !== undefined;
  const there = isOurs ? await stackTemplate(aws, stack.id) : undefined;
  const { name: cloneName, owner, artifact } = facts;
  const wanted = { cloneName, owner, artifact, sameTemplate: isSameTemplate(there, template) };
  return { stack, step: nextForStack(stack, wanted) };
}

function cidrOf({ facts }: AuroraDraft): string {
  const cidr = known(facts.clientCidr);
  if (cidr === undefined) throw new LongshoreError('CHECK_FAILED', 'who may connect is not known');
  return cidr;
}
