/** CloudFormation stacks: made, looked at, followed, deleted. */

import type { Stack } from '@aws-sdk/client-cloudformation';
import { isAwsCode } from './aws-error.ts';
import type { AwsSession } from './aws-session.ts';

export interface StackState {
  readonly id: string;
  readonly name: string;
  /** As CloudFormation names it: `CREATE_COMPLETE`, `ROLLBACK_IN_PROGRESS`, … */
  readonly status: string;
  readonly reason: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
  readonly madeAtMs: number;
}

export interface StackEvent {
  readonly id: string;
  readonly resource: string;
  /** `AWS::RDS::DBCluster` */
  readonly type: string;
  readonly status: string;
  readonly reason: string | undefined;
}

export interface StackWanted {
  readonly name: string;
  readonly template: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Of the stack, and so of everything in it. */
  readonly tags: Readonly<Record<string, string>>;
  /** A call that is repeated with the same token is the same call. */
  readonly token: string;
}

/**
 * @returns the stack's id; undefined where another of that name is there
 */
export async function createStack(aws: AwsSession, wanted: StackWanted): Promise<string | undefined> {
  const { sdk, client } = await cloudFormation(aws);
  const command = new sdk.CreateStackCommand({
    StackName: wanted.name,
    TemplateBody: wanted.template,
    Parameters: parametersOf(wanted.parameters),
    Tags: Object.entries(wanted.tags).map(([Key, Value]) => ({ Key, Value })),
    ClientRequestToken: wanted.token,
    TimeoutInMinutes: TIMEOUT_MINUTES,
  });
  try {
    const { StackId } = await aws.call('cloudformation:CreateStack', (options) =>
      client.send(command, options),
    );
    return StackId;
  } catch (error) {
    if (isAwsCode(error, 'AlreadyExistsException')) return undefined;
    throw error;
  }
}

/** Then CloudFormation gives up, and takes back what it made. */
const TIMEOUT_MINUTES = 90;

/** Changes parameters and leaves the template, and the other parameters, as they are. */
export async function updateStack(
  aws: AwsSession,
  stack: StackState,
  parameters: Readonly<Record<string, string>>,
): Promise<void> {
  const { sdk, client } = await cloudFormation(aws);
  const kept = Object.keys(stack.parameters).filter((name) => !(name in parameters));
  const command = new sdk.UpdateStackCommand({
    StackName: stack.id,
    UsePreviousTemplate: true,
    Parameters: [
      ...parametersOf(parameters),
      ...kept.map((ParameterKey) => ({ ParameterKey, UsePreviousValue: true })),
    ],
  });
  await aws.call('cloudformation:UpdateStack', (options) => client.send(command, options));
}

/** @param stack its name, or its id, by which one that was deleted is found too */
export async function describeStack(aws: AwsSession, stack: string): Promise<StackState | undefined> {
  const { sdk, client } = await cloudFormation(aws);
  try {
    const { Stacks } = await aws.call('cloudformation:DescribeStacks', (options) =>
      client.send(new sdk.DescribeStacksCommand({ StackName: stack }), options),
    );
    return Stacks?.[0] && stateOf(Stacks[0]);
  } catch (error) {
    // CloudFormation has no code of its own for it.
    if (isAwsCode(error, 'ValidationError') && /does not exist/.test(String(error))) return undefined;
    throw error;
  }
}

/** Those that are there; not those that were deleted. */
export async function listStacks(aws: AwsSession): Promise<StackState[]> {
  const { sdk, client } = await cloudFormation(aws);
  const found: StackState[] = [];
  let NextToken: string | undefined;
  do {
    const token: { NextToken?: string } = NextToken === undefined ? {} : { NextToken };
    const page = await aws.call('cloudformation:DescribeStacks', (options) =>
      client.send(new sdk.DescribeStacksCommand(token), options),
    );
    found.push(...(page.Stacks ?? []).map(stateOf));
    NextToken = page.NextToken || undefined;
  } while (NextToken !== undefined);
  return found;
}

/** Oldest first. @param after the last that is known already */
export async function stackEvents(
  aws: AwsSession,
  stackId: string,
  after: string | undefined,
): Promise<StackEvent[]> {
  const { sdk, client } = await cloudFormation(aws);
  const events: (StackEvent & { readonly atMs: number })[] = [];
  let NextToken: string | undefined;
  do {
    const token: { NextToken?: string } = NextToken === undefined ? {} : { NextToken };
    const page = await aws.call('cloudformation:DescribeStackEvents', (options) =>
      client.send(new sdk.DescribeStackEventsCommand({ StackName: stackId, ...token }), options),
    );
    for (const event of page.StackEvents ?? [])
      events.push({
        id: event.EventId ?? '',
        resource: event.LogicalResourceId ?? '',
        type: event.ResourceType ?? '',
        status: event.ResourceStatus ?? '',
        reason: event.ResourceStatusReason || undefined,
        atMs: event.Timestamp?.getTime() ?? 0,
      });
    NextToken = events.some(({ id }) => id === after) ? undefined : page.NextToken || undefined;
  } while (NextToken !== undefined);
  // They come newest first; those of one moment keep their order.
  events.reverse().sort((one, other) => one.atMs - other.atMs);
  return events.slice(events.findIndex(({ id }) => id === after) + 1);
}

/** The template as it was given. */
export async function stackTemplate(aws: AwsSession, stackId: string): Promise<string> {
  const { sdk, client } = await cloudFormation(aws);
  const { TemplateBody } = await aws.call('cloudformation:GetTemplate', (options) =>
    client.send(new sdk.GetTemplateCommand({ StackName: stackId, TemplateStage: 'Original' }), options),
  );
  return TemplateBody ?? '';
}

/** Begins to; of one that is gone, or is being deleted, nothing happens. */
export async function deleteStack(aws: AwsSession, stackId: string): Promise<void> {
  const { sdk, client } = await cloudFormation(aws);
  await aws.call('cloudformation:DeleteStack', (options) =>
    client.send(new sdk.DeleteStackCommand({ StackName: stackId }), options),
  );
}

async function cloudFormation(aws: AwsSession) {
  const sdk = await import('@aws-sdk/client-cloudformation');
  const client = aws.client('CLOUDFORMATION', (settings) => new sdk.CloudFormationClient(settings));
  return { sdk, client };
}

function parametersOf(parameters: Readonly<Record<string, string>>) {
  return Object.entries(parameters).map(([ParameterKey, ParameterValue]) => ({
    ParameterKey,
    ParameterValue,
  }));
}

function stateOf(stack: Stack): StackState {
  const pairs = (list: readonly (readonly [string | undefined, string | undefined])[]) =>
    Object.fromEntries(list.flatMap(([key, value]) => (key === undefined ? [] : [[key, value ?? '']])));
  return {
    id: stack.StackId ?? '',
    name: stack.StackName ?? '',
    status: stack.StackStatus ?? '',
    reason: stack.StackStatusReason || undefined,
    tags: pairs((stack.Tags ?? []).map(({ Key, Value }) => [Key, Value])),
    parameters: pairs((stack.Parameters ?? []).map((one) => [one.ParameterKey, one.ParameterValue])),
    outputs: pairs((stack.Outputs ?? []).map((one) => [one.OutputKey, one.OutputValue])),
    madeAtMs: stack.CreationTime?.getTime() ?? 0,
  };
}
