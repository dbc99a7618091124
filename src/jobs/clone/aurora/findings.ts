/** What of the facts keeps a clone from being made, or is worth knowing before: pure. */

import type { CloneMode, Finding } from '../clone.ts';
import { ok, problem, warning } from '../finding.ts';
import { clusterNameProblem, stackNameProblem } from './names.ts';
import type { StackStep } from './stack-state.ts';
import { subnetFindings } from './subnet-findings.ts';
import { type AuroraFacts, cannotTell, known } from './survey.ts';

export interface Wanted {
  readonly mode: CloneMode;
  readonly username: string;
  /** `DB_PASSWORD`, where it is set. */
  readonly password: string | undefined;
  readonly step: StackStep;
}

/** AWS answers the next one with a full copy, and says nothing. The number may change: it is no reason to refuse. */
const CLONES_MAX = 15;

export function auroraFindings(facts: AuroraFacts, wanted: Wanted): Finding[] {
  return [
    ok(`${facts.caller.arn} in ${facts.region}`),
    ...nameFindings(facts),
    ...sourceFindings(facts, wanted.mode),
    ...subnetFindings(facts),
    ...instanceFindings(facts),
    ...quotaFindings(facts, wanted.step),
    ...keyFindings(facts),
    ...rightsFindings(facts),
    ...stackFindings(facts, wanted.step),
    ...loginFindings(facts, wanted),
  ];
}

function nameFindings({ name, stackName }: AuroraFacts): Finding[] {
  const cluster = clusterNameProblem(name);
  const stack = stackNameProblem(stackName);
  return [
    cluster === undefined
      ? ok(`the name ${name}`)
      : problem(
          `the name "${name}" ${cluster}`,
          'give a --name of letters, digits and single hyphens, e.g. shop-test',
        ),
    ...(stack === undefined
      ? []
      : [problem(`the stack’s name "${stackName}" ${stack}`, 'give another --stack-name')]),
  ];
}

function sourceFindings(facts: AuroraFacts, mode: CloneMode): Finding[] {
  if ('refused' in facts.source) return cannotTell(facts.source);
  const source = facts.source.value;
  if (source === undefined)
    return [
      problem(
        `there is no cluster ${facts.sourceId} in ${facts.region} of account ${facts.caller.account}`,
        'correct source_db_cluster_id, its region, or AWS_PROFILE and AWS_REGION',
      ),
    ];
  const about = `the source ${source.id}`;
  const findings: Finding[] = [];
  if (!isAurora(source.engine))
    findings.push(problem(`${about} is ${source.engine}, and not Aurora`, 'name an Aurora cluster'));
  if (mode === 'clone') {
    if (facts.engine !== source.engine)
      findings.push(
        problem(
          `a clone has the engine of its source, ${source.engine}, and not ${facts.engine}`,
          'leave engine out of [target_db], or make an empty database with --mode create',
        ),
      );
    if (source.instances.length === 0)
      findings.push(
        problem(
          `${about} has no instance, and AWS does not clone it then`,
          'add an instance to it: aws rds create-db-instance; one of the smallest class will do',
        ),
      );
    if (!CLONED_WHILE.has(source.status))
      findings.push(problem(`${about} is ${source.status}`, 'wait until it is available, or start it'));
    findings.push(...siblingFindings(facts));
  }
  return findings.length > 0
    ? findings
    : [ok(`${about}: ${source.engine} ${source.engineVersion}, ${source.instances.length} instance(s)`)];
}

export function isAurora(engine: string): engine is 'aurora-postgresql' | 'aurora-mysql' {
  return engine === 'aurora-postgresql' || engine === 'aurora-mysql';
}

const CLONED_WHILE = new Set(['available', 'backing-up', 'maintenance', 'modifying']);

function siblingFindings(facts: AuroraFacts): Finding[] {
  const source = known(facts.source);
  const clusters = known(facts.clusters);
  if (clusters === undefined) return cannotTell(facts.clusters);
  const clones = clusters.filter(
    (one) => source?.cloneGroup !== undefined && one.cloneGroup === source.cloneGroup,
  );
  // The group holds what they are all copies of.
  const count = Math.max(0, clones.length - 1);
  if (count < CLONES_MAX) return [];
  return [
    warning(
      `${source!.id} shares its storage with ${count} clones: from ${CLONES_MAX} on, AWS makes a full copy of the next, which takes hours and costs all of its storage`,
      'drop clones that nobody needs: longshore clone list; what came out is checked, and a full copy is an error',
    ),
  ];
}

function instanceFindings({ classOffered, engine, engineVersion, target, region }: AuroraFacts): Finding[] {
  if (!isAurora(engine)) return [];
  const what = `${target.instanceType} for ${engine}${engineVersion === undefined ? '' : ` ${engineVersion}`} in ${region}`;
  if ('refused' in classOffered)
    return [warning(`whether there is ${what}: ${classOffered.refused.message}`, classOffered.refused.hint)];
  return classOffered.value
    ? [ok(what)]
    : [
        problem(
          `there is no ${what}`,
          'choose another instance_type: aws rds describe-orderable-db-instance-options lists them',
        ),
      ];
}

function quotaFindings(facts: AuroraFacts, step: StackStep): Finding[] {
  const kinds = [
    ['clusters', known(facts.clusters)?.length, facts.clusterQuota],
    ['instances', known(facts.instances), facts.instanceQuota],
  ] as const;
  return kinds.flatMap(([what, count, quota]): Finding[] => {
    const most = known(quota);
    if (count === undefined || most === undefined) {
      const why = 'refused' in quota ? `: ${quota.refused.message}` : '';
      return [warning(`how many ${what} the account may still make is not known${why}`)];
    }
    // One that is there, or under way, is counted already.
    const enough = count < most || step.kind === 'use' || step.kind === 'wait';
    return enough
      ? [ok(`${count} of ${most} ${what}`)]
      : [
          problem(
            `the account has ${count} ${what} in ${facts.region}, and ${most} is its quota`,
            `drop some, or ask for more: Service Quotas, Amazon RDS, DB ${what}`,
          ),
        ];
  });
}

function keyFindings({ key }: AuroraFacts): Finding[] {
  if (key === undefined) return [];
  if ('refused' in key.state)
    return [warning(`whether the key ${key.id} can be used is not known: ${key.state.refused.message}`)];
  const state = key.state.value;
  if (state === 'Enabled') return [ok(`the key ${key.id}`)];
  return [
    problem(
      state === undefined ? `there is no key ${key.id}` : `the key ${key.id} is ${state}`,
      'name another kms_key_id in [target_db], or have it enabled',
    ),
  ];
}

function rightsFindings({ denied, caller }: AuroraFacts): Finding[] {
  if ('refused' in denied)
    return [warning(`what ${caller.arn} may do is not known beforehand: ${denied.refused.message}`)];
  return denied.value.length === 0
    ? [ok('the rights that it needs')]
    : [
        problem(
          `${caller.arn} may not ${denied.value.join(', ')}`,
          'longshore grants clone prints the policy',
        ),
      ];
}

function stackFindings(facts: AuroraFacts, step: StackStep): Finding[] {
  if ('refused' in facts.stack) return cannotTell(facts.stack);
  const status = facts.stack.value?.status;
  switch (step.kind) {
    case 'refuse':
      return [problem(step.why, step.hint)];
    case 'use':
      return [ok(`the stack ${facts.stackName} is there already`)];
    case 'wait':
      return [warning(`the stack ${facts.stackName} is ${status}: it is waited for`)];
    case 'remove':
      return [warning(`the stack ${facts.stackName} is ${status}: it is deleted first, and made again`)];
    case 'make': {
      const there = known(facts.clusters)?.find(({ id }) => id === facts.name.toLowerCase());
      return there === undefined
        ? []
        : [
            problem(
              `there is a cluster ${there.id} already, of no stack of this clone`,
              'give another --name',
            ),
          ];
    }
  }
}

function loginFindings(facts: AuroraFacts, { mode, username, password }: Wanted): Finding[] {
  const findings: Finding[] = [];
  const cidr = facts.clientCidr;
  if ('refused' in cidr) findings.push(...cannotTell(cidr));
  else findings.push(ok(`connections from ${cidr.value}`));
  if (password !== undefined && !isLegalPassword(password))
    findings.push(
      problem(
        'DB_PASSWORD is not what RDS takes',
        '8 to 41 characters of ASCII, without / " @ and spaces; or leave it out, and one is made up',
      ),
    );
  if (mode === 'create' && !/^[a-z][a-z0-9_]{0,15}$/i.test(username))
    findings.push(
      problem(
        `the user "${username}" is not what RDS takes`,
        'a letter, then up to 15 letters, digits and _',
      ),
    );
  const isReserved =
    username === 'rdsadmin' || (username === 'admin' && facts.engine === 'aurora-postgresql');
  if (mode === 'create' && isReserved)
    findings.push(
      problem(`the user "${username}" is reserved in ${facts.engine}`, 'choose another --username'),
    );
  return findings;
}

export function isLegalPassword(password: string): boolean {
  return /^[\x21-\x7e]{8,41}$/.test(password) && !/[/"@]/.test(password);
}
