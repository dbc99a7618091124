/** Changes rows while no trigger of theirs fires, and no foreign key stands in the way. */

import type { ForeignKey } from '../masking/catalogue.ts';
import type { MaskWork } from '../masking/work.ts';
import type { Client } from './connections.ts';
import { quoteName } from './sql.ts';

/**
 * Inside a transaction. A role that may set `session_replication_role` does so; for any other one triggers are disabled one
 * by one, and foreign keys are taken away and made again, which checks them.
 */
export async function withoutTriggers<T>(
  client: Client,
  work: MaskWork,
  change: () => Promise<T>,
): Promise<T> {
  const asReplica = await becomeReplica(client);
  const stored = work.changed.flatMap((table) => [table.id, ...table.stored]);
  const { rows: triggers } = await client.query<Trigger>(TRIGGERS, [
    stored,
    asReplica ? ['A', 'R'] : ['O', 'A', 'R'],
  ]);
  for (const trigger of triggers)
    await client.query(`ALTER TABLE ONLY ${trigger.id} DISABLE TRIGGER ${trigger.name}`);
  const keys = asReplica ? [] : work.foreignKeys;
  for (const key of keys) await client.query(dropText(key));
  const result = await change();
  // What was put off has to be done before its tables are altered.
  await client.query('SET CONSTRAINTS ALL IMMEDIATE');
  for (const key of keys) await client.query(addText(key));
  for (const { id, name, enabled } of triggers)
    await client.query(`ALTER TABLE ONLY ${id} ENABLE ${ENABLED[enabled] ?? ''}TRIGGER ${name}`);
  if (asReplica) await client.query('SET LOCAL session_replication_role = DEFAULT');
  return result;
}

interface Trigger {
  readonly id: string;
  readonly name: string;
  readonly enabled: string;
}

const ENABLED: Readonly<Record<string, string>> = { A: 'ALWAYS ', R: 'REPLICA ' };

const TRIGGERS = `
  SELECT DISTINCT format('%I.%I', n.nspname, c.relname) AS id, quote_ident(t.tgname) AS name, t.tgenabled AS enabled
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT t.tgisinternal AND t.tgenabled = ANY ($2::"char"[]) AND format('%I.%I', n.nspname, c.relname) = ANY ($1)`;

async function becomeReplica(client: Client): Promise<boolean> {
  await client.query('SAVEPOINT role');
  try {
    await client.query('SET LOCAL session_replication_role = replica');
    return true;
  } catch (error) {
    // Only that it is not allowed has another way.
    if ((error as { code?: string }).code !== '42501') throw error;
    await client.query('ROLLBACK TO SAVEPOINT role');
    return false;
  }
}

function dropText({ child, name }: ForeignKey): string {
  return `ALTER TABLE ${child} DROP CONSTRAINT ${quoteName(name)}`;
}

function addText({ child, name, definition }: ForeignKey): string {
  return `ALTER TABLE ${child} ADD CONSTRAINT ${quoteName(name)} ${definition}`;
}
