/** `longshore infra`: what a job needs around it on AWS, as a CloudFormation template. */

import { type Command, Option } from 'commander';
import { LongshoreError } from '../errors.ts';
import type { Finish } from './main.ts';

interface InfraFlags {
  readonly format: 'yaml' | 'json';
  readonly bucket?: string;
  readonly name?: string;
  readonly tables?: string;
  readonly mode?: string;
  readonly every?: string;
}

export function registerInfra(program: Command, _finish: Finish): void {
  program
    .command('infra')
    .description('print a CloudFormation template that runs a job on AWS')
    .argument('<job>', 'replicate')
    .addOption(new Option('--format <format>', 'of the template').choices(['yaml', 'json']).default('yaml'))
    .option('--bucket <name>', 'the bucket that files go to, unless a parameter says otherwise')
    .option('--name <name>', 'of the job, likewise')
    .option('--tables <patterns>', 'which tables, likewise: public.*,!public.audit_*')
    .option('--mode <mode>', 'full-load, cdc or full-load-and-cdc, likewise')
    .option('--every <duration>', 'how long changes are gathered, likewise')
    .action(async (job: string, { format, ...presets }: InfraFlags) => {
      if (job !== 'replicate') {
        throw new LongshoreError('CONFIG_INVALID', `there is no template for "${job}"`, {
          hint: 'longshore infra replicate',
        });
      }
      const [{ replicateTemplate }, { templateText }] = await Promise.all([
        import('../platforms/aws/replicate-template.ts'),
        import('../platforms/aws/cloudformation.ts'),
      ]);
      process.stdout.write(templateText(replicateTemplate(presets), format));
    });
}
