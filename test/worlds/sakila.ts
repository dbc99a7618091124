/** The sample database sakila: where its SQL is, and how it is loaded. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** Of `TEST_SAKILA`, or beside the repository. */
const FOLDER =
  process.env['TEST_SAKILA'] ?? fileURLToPath(new URL('../../../shared/data/sakila', import.meta.url));
const FILES = ['sakila-schema.sql', 'sakila-data.sql'].map((name) => join(FOLDER, name));

/** Whether it can be loaded; prints what is missing where not. */
export function sakilaAvailable(): boolean {
  const there = FILES.every((file) => existsSync(file));
  if (!there) console.warn('skipped: no sakila; set TEST_SAKILA to the folder of its SQL');
  return there;
}

/** Into the database of the URL, instead of one of its own name. */
export async function loadSakila(url: string): Promise<void> {
  const { hostname, port, username, password, pathname } = new URL(url);
  for (const file of FILES) {
    const script = (await readFile(file, 'utf8'))
      .replace(/^(DROP SCHEMA|CREATE SCHEMA|USE) .*$/gm, '')
      .replaceAll('sakila.', '');
    const flags = ['--protocol=tcp', `--host=${hostname}`, `--port=${port}`, `--user=${username}`];
    const child = spawn('mysql', ['--no-defaults', ...flags, pathname.slice(1)], {
      env: { ...process.env, MYSQL_PWD: decodeURIComponent(password) },
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    const said = text(child.stderr);
    child.stdin.end(script);
    const [code] = await once(child, 'close');
    if (code !== 0) throw new Error(`sakila was not loaded: ${await said}`);
  }
}
