import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { RestoreScript } from './restore-script.ts';

async function restored(
  script: string,
  target: string,
  sandbox: boolean,
  cut = 1_000_000,
  eventsOff = false,
): Promise<string> {
  const bytes = Buffer.from(script);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += cut) chunks.push(bytes.subarray(at, at + cut));
  return text(Readable.from(chunks).pipe(new RestoreScript(target, sandbox, eventsOff)));
}

const SANDBOX = '/*M!999999\\- enable the sandbox mode */ ';
const HEADER = `-- MariaDB dump 10.19\n--\n-- Host: 127.0.0.1    Database: käse\`1\n--\n${'-- filler\n'.repeat(600)}`;
const INSERT =
  "INSERT INTO `t` VALUES\n(1,'ALTER DATABASE `x`'),\n(2,'\\nALTER DATABASE `x` /*!50001 VIEW `käse``1`.');\n";
const script = (database: string) =>
  `${SANDBOX}\n${HEADER}${INSERT}ALTER DATABASE \`${database}\` CHARACTER SET latin1 ;
DELIMITER ;;
ALTER DATABASE \`${database}\` CHARACTER SET utf8mb4 ;;
/*!50001 VIEW \`käse\`\`1\` AS select \`${database}\`.\`f\`('it''s \`käse\`\`1\`.x',\`other\`.\`g\`(1)),'ü' AS \`a\` from \`t\` */;
ALTER DATABASE \`${database}\` end`;

it('puts the name of the target in place of that of the dumped database, wherever the chunks are cut', async () => {
  for (const cut of [1, 2, 5, 17, 1000, 1_000_000]) {
    expect(await restored(script('käse``1'), 'ziel`2', true, cut)).toBe(script('ziel``2'));
    expect(await restored(script('käse``1'), 'käse`1', true, cut)).toBe(script('käse``1'));
  }
});

it('leaves the first line of MariaDB out where the client does not know it, and keeps the number of lines', async () => {
  for (const cut of [3, 1_000_000]) {
    expect(await restored(script('a'), 'a', false, cut)).toBe(script('a').slice(SANDBOX.length));
    expect(await restored(`/*!999999\\- enable the sandbox mode */\nSELECT 1;\n`, 'a', false, cut)).toBe(
      '\nSELECT 1;\n',
    );
    expect(await restored('', 'a', false, cut)).toBe('');
  }
});

it('makes events disabled where the dump becomes a copy, and changes nothing else of them', async () => {
  const event = (state: string) => `${HEADER}DELIMITER ;;
/*!50106 CREATE*/ /*!50117 DEFINER=\`a\`\`b\`@\`%\`*/ /*!50106 EVENT \`e v\` ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 00:00:00' ON COMPLETION NOT PRESERVE ${state} COMMENT 'ENABLE' DO BEGIN
  SELECT ' ON COMPLETION PRESERVE ENABLE';
END */ ;;
`;
  for (const cut of [1, 17, 1_000_000]) {
    expect(await restored(event('ENABLE'), 'a', true, cut, true)).toBe(event('DISABLE'));
    expect(await restored(event('DISABLE'), 'a', true, cut, true)).toBe(event('DISABLE'));
    expect(await restored(event('ENABLE'), 'a', true, cut)).toBe(event('ENABLE'));
  }
});
