/** Looks at source and server before a clone is made, and says what would be done; changes nothing. */

import {
  type CloneServer,
  checkDatabaseName,
  isSameServer,
  openCloneServer,
  placeOf,
} from '../../../databases/clone-server.ts';
import { messageOf } from '../../../errors.ts';
import type { ClonePlan, Finding } from '../clone.ts';
import { lookAt } from '../look-at.ts';
import { changelogText, RULES_NAME } from '../make-fit.ts';
import { checkMasking } from '../masking/apply-masking.ts';
import { parseMaskingRules } from '../masking/rules.ts';
import type { CloneEnvironment } from '../settings.ts';
import { type ChosenWay, chooseWay, type Situation, type Way, workText } from './choose-way.ts';
import { parseNote } from './clone-note.ts';
import type { DatabaseRequest } from './request.ts';

export interface DatabasePlan extends ClonePlan {
  /** Undefined where there is none, or none is needed. */
  readonly way: Way | undefined;
}

/** @param server that the clone is made on */
export async function planDatabase(
  request: DatabaseRequest,
  server: CloneServer,
  env: CloneEnvironment['env'],
  signal: AbortSignal,
): Promise<DatabasePlan> {
  const { mode, name, on } = request;
  const findings: Finding[] = [];
  const problem = (text: string, hint?: string): void => void findings.push({ kind: 'problem', text, hint });
  try {
    checkDatabaseName(name);
  } catch (error) {
    problem(messageOf(error), (error as { hint?: string }).hint);
  }
  const there = (await server.noted()).find((database) => database.name === name);
  if (there === undefined && (await server.exists(name)))
    problem(`${placeOf(on, name)} is there, and Longshore did not make it`, 'take another --name');
  const note = parseNote(there?.note);
  if (note?.state === 'ready')
    findings.push({ kind: 'ok', text: `${name} is there already, made ${note.madeAt} by ${note.owner}` });
  const common = { mode, name, costADay: 0, findings };
  if (mode === 'create') {
    if (request.changelog !== undefined)
      findings.push(
        await lookAt(() => changelogText(request.source.dialect, request.changelog!, env, signal), signal),
      );
    const steps = request.changelog === undefined ? [] : [`the changelog ${request.changelog.entry} applied`];
    return {
      ...common,
      way: undefined,
      how: 'empty database',
      why: 'mode create takes no rows',
      makes: [`an empty database ${placeOf(on, name)}`, ...steps],
      estimateMs: undefined,
    };
  }
  const situation = await look(request, server, findings, signal);
  if (request.masking !== undefined && situation.reachable)
    findings.push(await lookAt(async () => maskingText(request, signal), signal));
  const chosen = chooseWay(situation, request.way);
  if (typeof chosen === 'string') problem(`the clone cannot be made: ${chosen}`);
  return { ...common, ...described(request, situation, chosen) };
}

async function maskingText({ source, masking }: DatabaseRequest, signal: AbortSignal): Promise<string> {
  await checkMasking(source, parseMaskingRules(masking!, source.dialect, RULES_NAME), signal);
  return 'the masking rules fit the source';
}

function described(
  { on, name, masking, compare }: DatabaseRequest,
  situation: Situation,
  chosen: ChosenWay | string,
): Pick<DatabasePlan, 'way' | 'how' | 'why' | 'makes' | 'estimateMs'> {
  if (typeof chosen === 'string')
    return { way: undefined, how: 'none', why: chosen, makes: [], estimateMs: undefined };
  const { way, why, estimateMs } = chosen;
  return {
    way,
    how: way,
    why,
    estimateMs,
    makes: [
      `a database ${placeOf(on, name)}, ${workText(way, situation)}`,
      ...(masking === undefined ? [] : ['its columns masked before anyone can connect']),
      ...(compare ? ['every row held against the source'] : []),
    ],
  };
}

/** @param findings what is found on the way is added */
async function look(
  { source, on, jobs, backups, compare }: DatabaseRequest,
  server: CloneServer,
  findings: Finding[],
  signal: AbortSignal,
): Promise<Situation> {
  const { database } = source.connection;
  const sameServer = isSameServer(source, on);
  const situation = {
    product: server.server.product,
    sameServer,
    jobs,
    compare,
    backup: await backups?.newest(signal),
  };
  try {
    await using other = sameServer ? undefined : await openCloneServer(source);
    const from = other ?? server;
    const bytes = await from.bytesOf(database);
    if (bytes === undefined) throw new Error(`there is no ${source.name}`);
    findings.push({
      kind: 'ok',
      text: `${source.name} can be reached (${from.server.product} ${from.server.version})`,
    });
    return {
      ...situation,
      bytes,
      sessions: await from.sessionsIn(database),
      mayCopy: sameServer && (await from.mayCopy(database)),
      reachable: true,
    };
  } catch (error) {
    signal.throwIfAborted();
    const kind = situation.backup === undefined ? 'problem' : 'warning';
    findings.push({ kind, text: messageOf(error), hint: (error as { hint?: string }).hint });
    return { ...situation, bytes: 0, sessions: 0, mayCopy: false, reachable: false };
  }
}
