/**
 * What moto does not model, before it: the Aurora cluster and instance of a CloudFormation stack (made in moto's RDS),
 * stacks that take time or fail, clone groups, quotas, prices and rights.
 */

export interface AwsWorld {
  /** By operation: an answer in place of moto's, and how often; a rewriting of moto's. */
  readonly errors: Map<string, { status: number; code: string; times: number }>;
  readonly rewrites: Map<string, (body: string) => string>;
  /** By code. */
  readonly quotas: Map<string, number>;
  readonly deniedActions: Set<string>;
  /** Why the cluster of the next stack cannot be made. */
  failNextStack: string | undefined;
  /** How often a stack is looked at until it is done. */
  pendingLooks: number;
  /** US dollars an hour; undefined: pricing cannot be asked. */
  price: number | undefined;
  /** How many clusters may share storage; the next one is a full copy. */
  clonesMax: number;
  /** Told the password that a cluster is given. */
  passwordSet: (clusterId: string, password: string) => Promise<void>;
}

export type Answer = { readonly status: number; readonly body: string };
type Params = URLSearchParams;

interface FakeStack {
  readonly id: string;
  readonly name: string;
  readonly template: string;
  readonly clusterId: string;
  readonly tags: [string, string][];
  status: string;
  looks: number;
  finish: (() => Promise<void>) | undefined;
  readonly events: string[];
}

export interface AuroraOnMoto {
  /** @param headers those that moto looks at */
  answer(operation: string, headers: Record<string, string>, text: string, params: Params): Promise<Answer>;
  /** When moto was reset: no stacks, no clusters. */
  forget(): void;
}

export function newWorld(): AwsWorld {
  return {
    errors: new Map(),
    rewrites: new Map(),
    quotas: new Map(),
    deniedActions: new Set(),
    failNextStack: undefined,
    pendingLooks: 1,
    price: 0.29,
    clonesMax: 15,
    passwordSet: async () => undefined,
  };
}

/** @param target where moto is */
export function auroraOnMoto(target: string, world: AwsWorld): AuroraOnMoto {
  const stacks = new Map<string, FakeStack>();
  const groups = new Map<string, string>();
  const orderable = new Map<string, Answer>();

  const pass = async (headers: Record<string, string>, body: string): Promise<Answer> => {
    const answer = await fetch(target, { method: 'POST', headers, body });
    return { status: answer.status, body: await answer.text() };
  };

  /** A call of moto's RDS in the name of whoever asked. */
  const rds = async (headers: Record<string, string>, params: Record<string, string>): Promise<void> => {
    const authorization = headers['authorization']!.replace(
      /\/[a-z0-9-]+\/aws4_request/,
      '/rds/aws4_request',
    );
    const query = new URLSearchParams({ Version: '2014-10-31', ...params });
    const { status, body } = await pass({ ...headers, authorization }, query.toString());
    if (status !== 200) throw new Error(`moto: ${params['Action']}: ${body}`);
    noteGroup(query);
  };

  /** The clones of a cluster are of its group while there is room. */
  const noteGroup = (params: Params): void => {
    const made = params.get('DBClusterIdentifier') ?? '';
    const action = params.get('Action');
    if (action === 'DeleteDBCluster') groups.delete(made);
    if (action === 'CreateDBCluster') groups.set(made, `group-${made}`);
    if (action !== 'RestoreDBClusterToPointInTime') return;
    const group = groups.get(params.get('SourceDBClusterIdentifier') ?? '');
    const shared = [...groups.values()].filter((one) => one === group).length;
    const isClone = params.get('RestoreType') === 'copy-on-write' && shared <= world.clonesMax;
    groups.set(made, isClone && group !== undefined ? group : `group-${made}`);
  };

  const event = (stack: FakeStack, resource: string, type: string, status: string, reason = ''): void => {
    stack.events.unshift(
      `<member><EventId>${stack.name}-${stack.events.length}</EventId><StackId>${stack.id}</StackId>` +
        `<LogicalResourceId>${resource}</LogicalResourceId><ResourceType>${type}</ResourceType>` +
        `<ResourceStatus>${status}</ResourceStatus><ResourceStatusReason>${reason}</ResourceStatusReason>` +
        `<Timestamp>${new Date().toISOString()}</Timestamp></member>`,
    );
  };

  const ofStack = (stack: FakeStack, status: string, reason?: string): void => {
    stack.status = status;
    event(stack, stack.name, 'AWS::CloudFormation::Stack', status, reason);
  };

  /** Begins something that is done after some looks. */
  const begin = (stack: FakeStack, status: string, finish: () => Promise<void>): void => {
    ofStack(stack, status);
    stack.looks = world.pendingLooks;
    stack.finish = finish;
  };

  const createStack = async (headers: Record<string, string>, params: Params): Promise<Answer> => {
    const template = params.get('TemplateBody')!;
    const parsed = JSON.parse(template) as {
      Resources: Record<string, { Properties: Record<string, unknown> }>;
      Outputs: Record<string, { Value: unknown }>;
    };
    const cluster = parsed.Resources['Cluster']!.Properties;
    const instance = parsed.Resources['Instance']!.Properties;
    const clusterId = String(cluster['DBClusterIdentifier']);
    // Moto would leave out the cluster, and make of the instance one of no cluster.
    delete parsed.Resources['Cluster'];
    delete parsed.Resources['Instance'];
    parsed.Outputs['Endpoint'] = { Value: `${clusterId}.cluster.example.test` };
    parsed.Outputs['Port'] = { Value: '5432' };
    parsed.Outputs['ClusterId'] = { Value: clusterId };
    const forwarded = new URLSearchParams(params);
    forwarded.set('TemplateBody', JSON.stringify(parsed));
    const answer = await pass(headers, forwarded.toString());
    if (answer.status !== 200) return answer;
    const tags = tagsOf(params);
    const id = /<StackId>(.*?)<\/StackId>/.exec(answer.body)![1]!;
    const name = params.get('StackName')!;
    const stack: FakeStack = {
      id,
      name,
      template,
      clusterId,
      tags,
      status: '',
      looks: 0,
      finish: undefined,
      events: [],
    };
    stacks.set(id, stack);
    const failure = world.failNextStack;
    world.failNextStack = undefined;
    begin(stack, 'CREATE_IN_PROGRESS', async () => {
      event(stack, 'Cluster', 'AWS::RDS::DBCluster', 'CREATE_IN_PROGRESS');
      if (failure !== undefined) {
        event(stack, 'Cluster', 'AWS::RDS::DBCluster', 'CREATE_FAILED', failure);
        event(stack, 'Instance', 'AWS::RDS::DBInstance', 'CREATE_FAILED', 'Resource creation cancelled');
        return ofStack(stack, 'ROLLBACK_COMPLETE');
      }
      const tagParams = Object.fromEntries(
        tags.flatMap(([key, value], i) => [
          [`Tags.Tag.${i + 1}.Key`, key],
          [`Tags.Tag.${i + 1}.Value`, value],
        ]),
      );
      const isClone = cluster['SourceDBClusterIdentifier'] !== undefined;
      await rds(headers, {
        Action: isClone ? 'RestoreDBClusterToPointInTime' : 'CreateDBCluster',
        DBClusterIdentifier: clusterId,
        DeletionProtection: String(cluster['DeletionProtection']),
        ...tagParams,
        ...(isClone
          ? {
              SourceDBClusterIdentifier: String(cluster['SourceDBClusterIdentifier']),
              RestoreType: String(cluster['RestoreType']),
              UseLatestRestorableTime: 'true',
            }
          : {
              Engine: String(cluster['Engine']),
              EngineVersion: String(cluster['EngineVersion']),
              DatabaseName: String(cluster['DatabaseName']),
              MasterUsername: String(cluster['MasterUsername']),
              MasterUserPassword: 'first-password',
            }),
      });
      event(stack, 'Cluster', 'AWS::RDS::DBCluster', 'CREATE_COMPLETE');
      await rds(headers, {
        Action: 'CreateDBInstance',
        DBInstanceIdentifier: `${clusterId}-1`,
        DBClusterIdentifier: clusterId,
        DBInstanceClass: String(instance['DBInstanceClass']),
        Engine: String(instance['Engine']),
      });
      event(stack, 'Instance', 'AWS::RDS::DBInstance', 'CREATE_COMPLETE');
      ofStack(stack, 'CREATE_COMPLETE');
    });
    return answer;
  };

  const deleteStack = async (headers: Record<string, string>, params: Params): Promise<Answer> => {
    const stack = find(params.get('StackName')!);
    if (stack === undefined || stack.status.startsWith('DELETE_COMPLETE'))
      return pass(headers, params.toString());
    if (stack.status !== 'DELETE_IN_PROGRESS')
      begin(stack, 'DELETE_IN_PROGRESS', async () => {
        const body = await describeClusters(headers, stack.clusterId);
        if (body?.includes('<DeletionProtection>true') === true) {
          event(stack, 'Cluster', 'AWS::RDS::DBCluster', 'DELETE_FAILED', 'Cannot delete protected Cluster');
          return ofStack(stack, 'DELETE_FAILED');
        }
        if (body !== undefined && groups.has(stack.clusterId)) {
          await rds(headers, { Action: 'DeleteDBInstance', DBInstanceIdentifier: `${stack.clusterId}-1` });
          await rds(headers, {
            Action: 'DeleteDBCluster',
            DBClusterIdentifier: stack.clusterId,
            SkipFinalSnapshot: 'true',
          });
        }
        const query = new URLSearchParams({
          Action: 'DeleteStack',
          Version: '2010-05-15',
          StackName: stack.id,
        });
        await pass({ ...headers, authorization: scoped(headers, 'cloudformation') }, query.toString());
        ofStack(stack, 'DELETE_COMPLETE');
      });
    return xml('DeleteStack', '');
  };

  const describeClusters = async (
    headers: Record<string, string>,
    id: string,
  ): Promise<string | undefined> => {
    const query = new URLSearchParams({
      Action: 'DescribeDBClusters',
      Version: '2014-10-31',
      DBClusterIdentifier: id,
    });
    const { status, body } = await pass(
      { ...headers, authorization: scoped(headers, 'rds') },
      query.toString(),
    );
    return status === 200 ? body : undefined;
  };

  const find = (nameOrId: string): FakeStack | undefined =>
    stacks.get(nameOrId) ??
    [...stacks.values()].find(({ name, status }) => name === nameOrId && status !== 'DELETE_COMPLETE');

  /** Time passes for a stack each time that it is looked at. */
  const look = async (stack: FakeStack): Promise<void> => {
    if (stack.finish === undefined || stack.looks-- > 0) return;
    const { finish } = stack;
    stack.finish = undefined;
    try {
      await finish();
    } catch (error) {
      ofStack(stack, stack.status.replace('IN_PROGRESS', 'FAILED'), String(error));
    }
  };

  const answerOf = async (
    operation: string,
    headers: Record<string, string>,
    text: string,
    params: Params,
  ): Promise<Answer> => {
    const stack = find(params.get('StackName') ?? '');
    switch (operation) {
      case 'CreateStack':
        return createStack(headers, params);
      case 'DeleteStack':
        return deleteStack(headers, params);
      case 'GetTemplate':
        if (stack === undefined) break;
        return xml('GetTemplate', `<TemplateBody>${escaped(stack.template)}</TemplateBody>`);
      case 'UpdateStack': {
        const answer = await pass(headers, text);
        if (stack !== undefined && answer.status === 200)
          begin(stack, 'UPDATE_IN_PROGRESS', async () => ofStack(stack, 'UPDATE_COMPLETE'));
        return answer;
      }
      case 'DescribeStackEvents':
        if (stack === undefined) break;
        return xml('DescribeStackEvents', `<StackEvents>${stack.events.join('')}</StackEvents>`);
      case 'DescribeStacks': {
        if (stack !== undefined) await look(stack);
        const { status, body } = await pass(headers, text);
        const told = body.replace(
          /<StackId>(.*?)<\/StackId>([\s\S]*?)<StackStatus>(.*?)<\/StackStatus>/g,
          (_, id: string, between: string, was: string) =>
            `<StackId>${id}</StackId>${between}<StackStatus>${stacks.get(id)?.status ?? was}</StackStatus>`,
        );
        return { status, body: told };
      }
      case 'DescribeDBClusters': {
        const { status, body } = await pass(headers, text);
        const told = body.replace(
          /<DBClusterIdentifier>(.*?)<\/DBClusterIdentifier>/g,
          (found, id: string) => `${found}<CloneGroupId>${groups.get(id) ?? ''}</CloneGroupId>`,
        );
        return { status, body: told };
      }
      case 'DescribeOrderableDBInstanceOptions': {
        // Moto unpacks its list for every page of every call.
        const kept = orderable.get(text) ?? (await pass(headers, text));
        orderable.set(text, kept);
        return kept;
      }
      case 'ModifyDBCluster': {
        const answer = await pass(headers, text);
        const password = params.get('MasterUserPassword');
        if (password !== null && answer.status === 200)
          await world.passwordSet(params.get('DBClusterIdentifier')!, password);
        return answer;
      }
      case 'SimulatePrincipalPolicy': {
        const actions = [...params]
          .filter(([key]) => key.startsWith('ActionNames.'))
          .map(([, value]) => value);
        const results = actions.map(
          (action) =>
            `<member><EvalActionName>${action}</EvalActionName><EvalDecision>${world.deniedActions.has(action) ? 'implicitDeny' : 'allowed'}</EvalDecision></member>`,
        );
        return xml('SimulatePrincipalPolicy', `<EvaluationResults>${results.join('')}</EvaluationResults>`);
      }
      case 'GetServiceQuota': {
        const { QuotaCode } = JSON.parse(text) as { QuotaCode: string };
        return { status: 200, body: JSON.stringify({ Quota: { Value: world.quotas.get(QuotaCode) ?? 40 } }) };
      }
      case 'GetProducts': {
        if (world.price === undefined) return { status: 400, body: '{"__type":"AccessDeniedException"}' };
        const isCapacity = text.includes('"ServerlessV2"');
        const product = (usagetype: string, price: number) =>
          JSON.stringify({
            product: { attributes: { usagetype } },
            terms: {
              OnDemand: {
                one: {
                  priceDimensions: {
                    one: {
                      unit: isCapacity ? 'ACU-Hr' : 'Hrs',
                      pricePerUnit: { USD: String(price) },
                    },
                  },
                },
              },
            },
          });
        const PriceList = isCapacity
          ? [
              product('EUC1-Aurora:ServerlessV2Unknown', world.price / 10),
              product('EUC1-Aurora:ServerlessV2IOOptimizedUsage', world.price * 1.3),
              product('EUC1-Aurora:ServerlessV2Usage', world.price),
            ]
          : [product('EUC1-InstanceUsage:db.r6g.large', world.price)];
        return { status: 200, body: JSON.stringify({ PriceList }) };
      }
    }
    const answer = await pass(headers, text);
    if (answer.status === 200) noteGroup(params);
    return answer;
  };

  return {
    answer: answerOf,
    forget: () => {
      stacks.clear();
      groups.clear();
    },
  };
}

function scoped(headers: Record<string, string>, service: string): string {
  return headers['authorization']!.replace(/\/[a-z0-9-]+\/aws4_request/, `/${service}/aws4_request`);
}

function tagsOf(params: Params): [string, string][] {
  const tags: [string, string][] = [];
  for (let i = 1; params.has(`Tags.member.${i}.Key`); i++)
    tags.push([params.get(`Tags.member.${i}.Key`)!, params.get(`Tags.member.${i}.Value`) ?? '']);
  return tags;
}

function xml(operation: string, result: string): Answer {
  return {
    status: 200,
    body: `<${operation}Response><${operation}Result>${result}</${operation}Result></${operation}Response>`,
  };
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
