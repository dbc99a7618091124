/** What the demo of `clone` says at its end. */

import { formatBytes } from '../config/bytes.ts';
import { formatDuration } from '../config/duration.ts';
import { sweptText } from '../report/clone-text.ts';
import type { CloneDemoResult } from './clone-demo.ts';
import { MASKED_TABLE } from './clone-demo-artifact.ts';

/** Whether the clone is as its source besides what was masked, and nothing that was made is left. */
export function cloneDemoHolds(result: CloneDemoResult): boolean {
  const { again, differences, created, pooled, left } = result;
  const [difference, ...more] = differences;
  return (
    again.existed &&
    more.length === 0 &&
    difference?.includes(MASKED_TABLE) === true &&
    (created === undefined || created.tables.includes('orders')) &&
    pooled !== undefined &&
    left.length === 0
  );
}

export function cloneDemoText(result: CloneDemoResult): string {
  const { artifact, clone, source, differences, created, notCreated, pooled, dropped, swept } = result;
  return [
    '',
    cloneDemoHolds(result) ? 'What happened:' : 'Something went wrong:',
    ...artifactText(artifact),
    `  Converged, it was ${clone.name}: ${clone.how}, masked before anyone could connect, in ${formatDuration(clone.tookMs)}; asked again, the same one.`,
    `  Of ${n(source.tables)} tables with ${n(source.rows)} rows, and ${n(source.objects)} other objects, what is masked differs${differences.length === 1 ? ', and nothing else' : ''}:`,
    ...differences.map((text) => `    ≠ ${text}`),
    created === undefined
      ? `  No fresh database was made. ${notCreated}`
      : `  Converged with --mode create, it was ${created.clone.name}: an empty database, on which Liquibase made ${created.tables.join(', ')}.`,
    `  Out of a pool, ${pooled?.name ?? 'a clone'} was handed out in ${pooled === undefined ? 'vain' : `${n(pooled.tookMs)} ms`}.`,
    `  ${dropped} was dropped. A day later, sweep did the rest:`,
    ...sweptText(swept, false)
      .split('\n')
      .map((line) => `    ${line}`),
    'What to try next:',
    '  npx longshore clone --from postgres://…/shop --name shop_test --ttl 8h --plan',
    '  npx longshore clone build artifact-config.ini --tag shop-db:1    docs/clone.md tells the rest',
  ].join('\n');
}

function artifactText(artifact: CloneDemoResult['artifact']): string[] {
  if (artifact === undefined)
    return [
      '  No image was built: that needs Linux, or an image with Node.js (longshore clone build --base node:24-slim).',
    ];
  const size = artifact.layers.reduce((sum, layer) => sum + layer.size, 0);
  return [
    `  ${artifact.reference} was built without Docker, an image of ${formatBytes(size)}: where the shop is, its changelog and its masking rules,`,
    '  no rows and no password.',
  ];
}

function n(value: number): string {
  return value.toLocaleString('en-US');
}
