/** `longshore audit`: joins a bucket and the rows that name its objects. */

import type { Command } from 'commander';
import type { AuditFinding, AuditResult } from '../jobs/move/audit.ts';
import type { Finish } from './main.ts';
import { stoppable } from './signals.ts';

const LISTED = 20;

export function registerAudit(program: Command, finish: Finish): void {
  program
    .command('audit')
    .description('find dangling rows, orphans, shared objects, collisions, wrong content types')
    .requiredOption('--store <url>', 'the bucket: s3://bucket/prefix/ or file:///folder/')
    .requiredOption('--rows <url...>', 'columns that name its objects: postgres://…/db#table.column')
    .option('--url <base...>', 'URL bases by which rows name the bucket')
    .option('--rule <pattern=>replacement...>', 'rules of a move to come, to find collisions')
    .option('--content-types', 'compare content types with names; a request for each object')
    .option('--json', 'the result as JSON on standard output, every finding as NDJSON on standard error')
    .action(
      async (flags: {
        store: string;
        rows: string[];
        url?: string[];
        rule?: string[];
        contentTypes?: boolean;
        json?: boolean;
      }) => {
        const [{ auditReferences }, { ruleOf }] = await Promise.all([
          import('../jobs/move/audit.ts'),
          import('./move-flags.ts'),
        ]);
        const listed: AuditFinding[] = [];
        const result = await stoppable(
          (signal) =>
            auditReferences(
              {
                store: flags.store,
                rows: flags.rows,
                urls: flags.url,
                rules: flags.rule?.map((text) => ({ kind: 'pattern', ...ruleOf(text) })),
                contentTypes: flags.contentTypes,
              },
              {
                signal,
                onFinding: (finding) => {
                  if (flags.json === true) process.stderr.write(`${JSON.stringify(finding)}\n`);
                  else if (listed.length < LISTED && finding.kind !== 'shared') listed.push(finding);
                },
              },
            ),
          { json: flags.json === true, text: 'nothing was changed' },
        );
        process.stdout.write(`${flags.json === true ? JSON.stringify(result) : auditText(result, listed)}\n`);
        finish(result.counts.missing + result.counts.collision > 0 ? 1 : 0);
      },
    );
}

function auditText(result: AuditResult, listed: readonly AuditFinding[]): string {
  const n = (value: number): string => value.toLocaleString('en-US');
  const lines = [
    `${result.store}: ${n(result.objects)} objects, ${n(result.references)} references in ${n(result.rowsRead)} rows`,
    `  ${n(result.counts.missing)} rows name an object that does not exist`,
    `  ${n(result.counts.orphan)} objects that no row names`,
    `  ${n(result.counts.shared)} objects that several rows name`,
    `  ${n(result.counts.empty)} empty objects that rows name`,
  ];
  if (result.counts.collision > 0)
    lines.push(`  ${n(result.counts.collision)} objects would land where another one does`);
  if (result.counts['content-type'] > 0)
    lines.push(`  ${n(result.counts['content-type'])} objects whose content type does not fit their name`);
  for (const { kind, key, column, row, detail } of listed) {
    const who = row === undefined ? key : `row ${row.join(',')} of ${column}: ${key}`;
    lines.push(
      `  ${kind === 'missing' || kind === 'collision' ? '✗' : '!'} ${kind}: ${who}${detail === undefined ? '' : ` ${detail}`}`,
    );
  }
  return lines.join('\n');
}
