import { expect, test } from 'vitest';
import { actionsOfConverging, clonePolicies } from './policy.ts';

const SCOPE = {
  partition: 'aws',
  region: 'eu-central-1',
  account: '123456789012',
  source: 'arn:aws:rds:eu-central-1:123456789012:cluster:shop',
};

test('no policy allows a kind of action as a whole, and only reads are allowed everywhere', () => {
  for (const { Statement } of Object.values(clonePolicies(SCOPE)))
    for (const { Action, Resource, Sid } of Statement) {
      expect(Action.join(), Sid).not.toContain('*');
      if (Resource.includes('*'))
        expect(
          Action.filter((one) => !/:(?:Describe|Get|List|Simulate)/.test(one)),
          Sid,
        ).toEqual([]);
    }
});

test('what is changed or deleted must carry our tag', () => {
  const { converge, sweep } = clonePolicies(SCOPE);
  for (const { Statement } of [converge, sweep])
    for (const { Action, Condition, Sid } of Statement)
      if (Action.some((one) => /:(?:Delete|Modify|Update|Authorize|Revoke)/.test(one)))
        expect(Condition, Sid).toEqual({ Null: { 'aws:ResourceTag/longshore:clone': 'false' } });
});

test('building reads its source alone', () => {
  const { build } = clonePolicies(SCOPE);
  expect(build.Statement).toMatchObject([{ Action: ['rds:DescribeDBClusters'], Resource: [SCOPE.source] }]);
});

test('IAM is asked with the tag that will be there, of a resource without wildcards', () => {
  for (const { resource, context } of actionsOfConverging(SCOPE)) {
    expect(resource).not.toContain('*');
    expect(Object.values(context)).not.toContain('false');
  }
  expect(actionsOfConverging(SCOPE)).toContainEqual({
    actions: ['rds:RestoreDBClusterToPointInTime'],
    resource: SCOPE.source,
    context: {},
  });
});

test('a policy fits into what IAM takes of a managed one', () => {
  for (const [name, policy] of Object.entries(clonePolicies(SCOPE)))
    expect(JSON.stringify(policy).length, name).toBeLessThan(6_144);
});
