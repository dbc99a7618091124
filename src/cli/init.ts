/** `longshore init`: writes `longshore.yaml` by asking. */

import { existsSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { CONFIG_FILE } from '../config/config-file.ts';
import { moveFromEnvironment } from '../config/script-environment.ts';
import { LongshoreError } from '../errors.ts';
import type { Finish } from './main.ts';

export function registerInit(program: Command, _finish: Finish): void {
  program
    .command('init')
    .description(`write ${CONFIG_FILE} by asking`)
    .option('--config <file>', 'the file to write', CONFIG_FILE)
    .action(async (flags: { config: string }) => {
      if (existsSync(flags.config)) {
        throw new LongshoreError('CONFIG_INVALID', `${flags.config} exists`, {
          hint: 'edit it, or write another one with --config',
        });
      }
      const known = moveFromEnvironment(process.env);
      const terminal = createInterface({ input: process.stdin });
      const lines = terminal[Symbol.asyncIterator]();
      const ask = async (question: string, fallback: string): Promise<string> => {
        process.stdout.write(`${question} [${fallback}] `);
        const { value, done } = await lines.next();
        if (done === true) {
          throw new LongshoreError('CONFIG_INVALID', 'the answers end before the questions do', {
            hint: `answer all of them, or write ${flags.config} by hand`,
          });
        }
        return value.trim() || fallback;
      };
      try {
        const name = await ask('A name for the move', 'avatars');
        const from = await ask('Where are the objects?', known?.from ?? 's3://legacy-s3/image/');
        const to = await ask('Where do they go?', known?.to ?? 's3://production-s3/avatar/');
        const rows = await ask(
          'Which column names them? (${…} is taken from the environment)',
          'postgres://longshore:${DB_PASSWD}@localhost/proddatabase#avatars.path',
        );
        const grace = await ask('After which time may a moved object leave the source?', '10m');
        const document = { move: { [name]: { from, to, rows, delete: grace } } };
        const text = `# yaml-language-server: $schema=./node_modules/longshore/longshore.schema.json\n${stringify(document)}`;
        writeFileSync(flags.config, text, { flag: 'wx' });
        process.stdout.write(
          `wrote ${flags.config}; next: longshore check ${name}, then longshore move ${name} --plan\n`,
        );
      } finally {
        terminal.close();
      }
    });
}
