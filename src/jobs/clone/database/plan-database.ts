/** Looks at source and server before a clone is made, and says what would be done; changes nothing. */

import {
  type CloneServer,
  checkDatabaseName,
  type DatabaseShape,
  isSameServer,
  openCloneServer,
  placeOf,
} from '../../../databases/clone-server.ts';
import { messageOf } from '../../../errors.ts';
import type { ClonePlan, Finding } from '../clone.ts';
import { lookAt, ok, problem, warning } from '../finding.ts';
import { checkFit, RULES_NAME } from '../make-fit.ts';
import { checkMasking } from '../masking/apply-masking.ts';
import { parseMaskingRules } from '../masking/rules.ts';
import type { CloneEnvironment } from '../settings.ts';
import { type ChosenWay, chooseWay, type Situation, type Way, wayOut, workText } from './choose-way.ts';
import { type CloneNote, keyOf, parseNote } from './clone-note.ts';
import type { DatabaseRequest, FoundBackup } from './request.ts';

export interface DatabasePlan extends ClonePlan {
  /** That is restored, where one is. */
  readonly backup?: FoundBackup | undefined;
  /** Undefined where there is none, or none is needed. */
  readonly way: Way | undefined;
  /** Of the source; undefined where it cannot be reached, or is not looked at. */
  readonly shape: DatabaseShape | undefined;
}

/** Without what only making it needs: settings of a database may be secrets. */
export function shownPlan({ shape: _, backup: __, ...plan }: DatabasePlan): ClonePlan {
  return plan;
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
  try {
    checkDatabaseName(name);
  } catch (error) {
    findings.push(problem(messageOf(error), (error as { hint?: string }).hint));
  }
  const there = (await server.noted()).find((database) => database.name === name);
  if (there === undefined && (await server.exists(name)))
    findings.push(
      problem(`${placeOf(on, name)} is there, and Longshore did not make it`, 'take another --name'),
    );
  const note = parseNote(there?.note);
  if (note?.state === 'ready' && note.key !== keyOf(request))
    findings.push(madeOfSomethingElse(request, note));
  else if (note?.state === 'ready')
    findings.push(ok(`${name} is there already, made ${note.madeAt} by ${note.owner}`));
  if (note?.state !== 'ready' && !(await server.mayCreate()))
    findings.push(
      problem(
        `the role ${on.connection.user} may make no databases on ${on.connection.host}`,
        'ALTER ROLE … CREATEDB; `longshore grants clone --from postgres://…` prints all that it needs',
      ),
    );
  const common = { mode, name, costADay: 0, findings };
  if (mode === 'create') {
    findings.push(...(await checkFit(request.source.dialect, mode, request, env, signal)));
    const steps = request.changelog === undefined ? [] : [`the changelog ${request.changelog.entry} applied`];
    return {
      ...common,
      way: undefined,
      shape: undefined,
      how: 'empty database',
      why: 'mode create takes no rows',
      makes: [`an empty database ${placeOf(on, name)}`, ...steps],
      estimateMs: undefined,
    };
  }
  const { situation, shape } = await look(request, server, findings, signal);
  if (shape !== undefined && shape.tablespaces.length > 0 && !situation.sameServer)
    findings.push(
      warning(`what is in the tablespaces ${shape.tablespaces.join(', ')} comes into that of the clone`),
    );
  if (request.masking !== undefined && situation.reachable)
    findings.push(await lookAt(async () => maskingText(request, signal), signal));
  const chosen = chooseWay(situation, request.way);
  if (typeof chosen === 'string')
    findings.push(
      problem(
        `there is no way to copy the rows: ${chosen}`,
        wayOut(situation, request.way, request.backups !== undefined),
      ),
    );
  else if (shape !== undefined && chosen.way !== 'backup') {
    const missing = await server.missingRoles(request.noOwner ? shape.rolesAnyway : shape.roles);
    if (missing.length > 0)
      findings.push(
        problem(
          `${on.connection.host} has no ${missing.length === 1 ? 'role' : 'roles'} ${missing.join(', ')}`,
          `make ${missing.length === 1 ? 'it' : 'them'}, or leave owners and grants out: --no-owners`,
        ),
      );
  }
  if (typeof chosen !== 'string' && (chosen.way === 'copy' || chosen.way === 'dump'))
    for (const { text, hint } of await problemsOfCopy(request)) findings.push(problem(text, hint));
  const backup = typeof chosen !== 'string' && chosen.way === 'backup' ? situation.backup : undefined;
  if (backup !== undefined) findings.push(ok(`it is made of ${backupText(backup)}`));
  return { ...common, shape, backup, ...described(request, situation, chosen) };
}

/** Which one: there may be one of a database of the same name on another server. */
export function backupText({ key, source, takenAt }: FoundBackup): string {
  return `the backup ${key} of ${source}, taken ${takenAt}`;
}

/** Of a name that is taken by a clone. */
export function madeOfSomethingElse(
  { name, on }: Pick<DatabaseRequest, 'name' | 'on'>,
  { source, owner }: CloneNote,
): Finding {
  return problem(
    `${name} is a clone already, of ${source} by ${owner}, and made of something else`,
    `take another --name, or drop it: longshore clone drop ${name} --on ${placeOf(on, on.connection.database)}`,
  );
}

async function problemsOfCopy({ source, on, clientFolder }: DatabaseRequest) {
  if (source.dialect !== 'postgres') return [];
  const { copyProblems } = await import('../../../databases/postgres/copy-problems.ts');
  return await copyProblems(source.connection, on.connection, clientFolder);
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
  { source, on, jobs, compare, noOwner, backups }: DatabaseRequest,
  server: CloneServer,
  findings: Finding[],
  signal: AbortSignal,
): Promise<{ readonly situation: Situation; readonly shape: DatabaseShape | undefined }> {
  const { database } = source.connection;
  const sameServer = isSameServer(source, on);
  const situation = {
    product: server.server.product,
    sameServer,
    jobs,
    compare,
    noOwner,
    backup: await backups?.newest(source, signal),
  };
  try {
    await using other = sameServer ? undefined : await openCloneServer(source);
    const from = other ?? server;
    const bytes = await from.bytesOf(database);
    if (bytes === undefined) throw new Error(`there is no ${source.name}`);
    findings.push(ok(`${source.name} can be reached (${from.server.product} ${from.server.version})`));
    const sessions = await from.sessionsIn(database);
    const mayCopy = sameServer && (await from.mayCopy(database));
    return {
      situation: { ...situation, bytes, sessions, mayCopy, reachable: true },
      shape: await from.shapeOf(database),
    };
  } catch (error) {
    signal.throwIfAborted();
    const kind = situation.backup === undefined ? 'problem' : 'warning';
    findings.push({ kind, text: messageOf(error), hint: (error as { hint?: string }).hint });
    const nothing = { bytes: 0, sessions: 0, mayCopy: false, reachable: false };
    return { situation: { ...situation, ...nothing }, shape: undefined };
  }
}
