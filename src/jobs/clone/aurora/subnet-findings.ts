/** Whether a clone can lie in the subnets that it shall: pure. */

import type { Finding } from '../clone.ts';
import { ok, problem, warning } from '../finding.ts';
import { type AuroraFacts, cannotTell, known } from './survey.ts';

export function subnetFindings(facts: AuroraFacts): Finding[] {
  const { target, subnetIds } = facts;
  if ('refused' in facts.subnets) return cannotTell(facts.subnets);
  const subnets = facts.subnets.value;
  if (subnetIds.length === 0) return known(facts.source) === undefined ? [] : [noSubnets()];
  const findings: Finding[] = [];
  const missing = subnetIds.filter((id) => !subnets.some((subnet) => subnet.id === id));
  if (missing.length > 0)
    findings.push(problem(`no such subnet: ${missing.join(', ')}`, 'correct subnet_ids in [target_db]'));
  const vpcs = [...new Set(subnets.map(({ vpcId }) => vpcId))];
  if (vpcs.length > 1)
    findings.push(
      problem(`the subnets are in several VPCs: ${vpcs.join(', ')}`, 'name subnets of one VPC in subnet_ids'),
    );
  if (target.vpcId !== 'source' && vpcs.some((vpc) => vpc !== target.vpcId))
    findings.push(
      problem(
        `the subnets are in ${vpcs.join(', ')}, and vpc_id is ${target.vpcId}`,
        'correct vpc_id or subnet_ids in [target_db]',
      ),
    );
  const zones = zonesOf(subnets);
  if (zones.length < 2)
    findings.push(
      problem(
        `the subnets are in ${zones.length === 1 ? `one zone, ${zones[0]}` : 'no zone'}, and RDS wants two or more`,
        'name subnets of two or more availability zones in subnet_ids',
      ),
    );
  findings.push(...zoneFindings(facts, zones));
  const full = subnets.filter(({ freeAddresses }) => freeAddresses === 0).map(({ id }) => id);
  if (full.length > 0) findings.push(problem(`no free address in ${full.join(', ')}`, 'name other subnets'));
  return findings.length > 0
    ? findings
    : [ok(`${subnets.length} subnets in ${zones.join(', ')} of ${vpcs.join(', ')}`)];
}

const noSubnets = (): Finding =>
  problem('the source is in no subnets that can be read', 'name subnets in subnet_ids of [target_db]');

/** Storage that is shared is in the zones of the source: other subnets must lie there too. */
function zoneFindings({ target, sourceSubnets }: AuroraFacts, zones: readonly string[]): Finding[] {
  if (target.subnetIds === 'source') return [];
  const ofSource = zonesOf(known(sourceSubnets) ?? []);
  if (ofSource.length === 0)
    return [
      warning(
        'the zones of the source’s subnets cannot be read, so that those of the clone are not compared',
      ),
    ];
  const outside = zones.filter((zone) => !ofSource.includes(zone));
  if (outside.length === 0) return [];
  return [
    problem(
      `the subnets are in ${outside.join(', ')}, and the source’s in ${ofSource.join(', ')}`,
      'name subnets in zones of the source; zones are the same where their ids are (use1-az1), whatever their names (us-east-1a) are in this account',
    ),
  ];
}

function zonesOf(subnets: readonly { readonly zoneId: string }[]): string[] {
  return [...new Set(subnets.map(({ zoneId }) => zoneId))].sort();
}
