/**
 * Joins a bucket and the columns that name its objects: dangling rows, orphans, several rows on one object,
 * collisions, wrong content types. Useful before any move, and without one.
 */

import { parseDatabaseUrl } from '../../config/database-url.ts';
import { formatStoreUrl, parseStoreUrl, type StoreUrl } from '../../config/store-url.ts';
import { openDatabase } from '../../databases/open-database.ts';
import { LongshoreError } from '../../errors.ts';
import { systemClock } from '../../flow/clock.ts';
import { mapConcurrent } from '../../flow/for-each-concurrent.ts';
import { listParallel } from '../../stores/list-parallel.ts';
import type { ListedObject, ObjectStore } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import { openStore } from '../../stores/open-store.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import { contentTypeProblem } from './content-types.ts';
import type { BoundColumn } from './context.ts';
import { danglingRows } from './dangling-rows.ts';
import { type KeyRule, KeyRules } from './key-rules.ts';
import { joinByKey, NameIndex } from './name-index.ts';
import type { MoveEnvironment } from './open-scope.ts';
import { bucketAddress, referenceBases } from './reference-bases.ts';
import { ReferenceFinder } from './references.ts';
import { settleReadings, sourceKeysOf } from './settle-readings.ts';
import { TargetClaims } from './target-claims.ts';

export interface AuditOptions {
  /** The bucket: `s3://bucket/prefix/` or `file:///folder/`. */
  readonly store: string;
  /** Columns that name its objects: `postgres://…/db#table.column`. */
  readonly rows: readonly string[];
  /** URL bases by which rows name the bucket, for instance of a CDN. */
  readonly urls?: readonly string[] | undefined;
  /** Rules of a move to come: keys that would land on one target are found. */
  readonly rules?: readonly KeyRule[] | undefined;
  /** Compare each object's content type with its name; costs a request an object. */
  readonly contentTypes?: boolean | undefined;
}

/**
 * - `missing`: a row names an object that does not exist
 * - `orphan`: an object that no row names
 * - `shared`: an object that several rows name
 * - `collision`: two objects that the rules would put in one place
 * - `content-type`: the type does not fit the name
 * - `empty`: an object of no bytes that a row names
 */
export interface AuditFinding {
  readonly kind: 'missing' | 'orphan' | 'shared' | 'collision' | 'content-type' | 'empty';
  readonly key: string;
  readonly column?: string | undefined;
  readonly row?: readonly string[] | undefined;
  /** How many rows name the object. */
  readonly rows?: number | undefined;
  readonly detail?: string | undefined;
}

export interface AuditResult {
  readonly store: string;
  readonly objects: number;
  readonly bytes: number;
  readonly rowsRead: number;
  readonly references: number;
  readonly counts: Readonly<Record<AuditFinding['kind'], number>>;
}

export interface AuditEnvironment extends MoveEnvironment {
  readonly signal?: AbortSignal | undefined;
  /** Called with every finding, in no order. */
  readonly onFinding?: ((finding: AuditFinding) => void) | undefined;
}

const CONNECTIONS = 2;
const BATCH_ROWS = 1000;
const LANES = 16;

/**
 * Audits a bucket against the rows that name its objects. Changes nothing. Memory stays flat; the names are sorted in
 * the system's temporary folder, about 100 bytes each.
 * @throws {LongshoreError} URL_INVALID and the errors of the store and the databases
 */
export async function auditReferences(
  options: AuditOptions,
  environment: AuditEnvironment = {},
): Promise<AuditResult> {
  const signal = environment.signal ?? new AbortController().signal;
  const env = environment.env ?? process.env;
  const url = parseStoreUrl(options.store);
  await using stack = new AsyncDisposableStack();
  const opened = stack.use(
    await openStore(url, { env, clock: environment.clock ?? systemClock, limits: environment.limits }),
  );
  const columns: BoundColumn[] = [];
  for (const text of options.rows) {
    const databaseUrl = parseDatabaseUrl(text, env);
    if (databaseUrl.columns.length === 0) {
      throw new LongshoreError('URL_INVALID', `${databaseUrl.name} names no column`, {
        hint: 'add it behind a #: …/database#table.column',
      });
    }
    const database = stack.use(await openDatabase(databaseUrl, { connections: CONNECTIONS }));
    for (const ref of databaseUrl.columns) {
      columns.push({
        index: columns.length,
        facts: await database.describe(ref, signal),
        database,
        leads: [''],
      });
    }
  }
  using audit = new Audit(opened.store, url, columns, finderOf(url, options, env), environment, signal);
  await audit.readRows();
  await audit.join(options);
  await audit.tellMissing();
  return { store: formatStoreUrl(url), ...audit.result() };
}

/** Finds references to the bucket itself: its keys go to themselves. */
function finderOf(
  url: StoreUrl,
  options: AuditOptions,
  env: Readonly<Record<string, string | undefined>>,
): ReferenceFinder {
  const urls = (options.urls ?? []).map((base) => ({ source: base, target: base }));
  const rules = new KeyRules([{ kind: 'prefix', from: url.prefix, to: url.prefix }]);
  if (url.kind !== 's3') return new ReferenceFinder({ rules, bases: urls });
  const address = bucketAddress(url, env);
  return new ReferenceFinder({ rules, bases: referenceBases({ source: address, target: address, urls }) });
}

class Audit implements Disposable {
  readonly #store: ObjectStore;
  readonly #url: StoreUrl;
  readonly #columns: readonly BoundColumn[];
  readonly #finder: ReferenceFinder;
  readonly #onFinding: (finding: AuditFinding) => void;
  readonly #signal: AbortSignal;
  readonly #names = new NameIndex();
  readonly #counts = { missing: 0, orphan: 0, shared: 0, collision: 0, 'content-type': 0, empty: 0 };
  #objects = 0;
  #bytes = 0;
  #rowsRead = 0;
  #references = 0;

  constructor(
    store: ObjectStore,
    url: StoreUrl,
    columns: readonly BoundColumn[],
    finder: ReferenceFinder,
    environment: AuditEnvironment,
    signal: AbortSignal,
  ) {
    this.#store = store;
    this.#url = url;
    this.#columns = columns;
    this.#finder = finder;
    this.#onFinding = environment.onFinding ?? (() => undefined);
    this.#signal = signal;
  }

  async readRows(): Promise<void> {
    const needles = this.#finder.needles();
    const options = { batchRows: BATCH_ROWS, ...(needles.length === 0 ? {} : { needles }) };
    for (const { database, facts, index } of this.#columns) {
      for await (const rows of database.scan(facts, {}, options, this.#signal)) {
        this.#rowsRead += rows.length;
        const read = rows.map(({ value, primaryKey }) => ({
          primaryKey,
          references: this.#finder.find(value, facts.within),
        }));
        const all = read.flatMap(({ references }) => references);
        const settle = await settleReadings(all, { source: this.#store }, this.#signal);
        this.#references += all.length;
        for (const { primaryKey, references } of read) {
          for (const key of new Set(references.map((reference) => settle(reference).sourceKey)))
            this.#names.add(key, { column: index, primaryKey });
        }
      }
    }
    this.#names.seal();
  }

  async join(options: AuditOptions): Promise<void> {
    const rules = options.rules === undefined ? undefined : new KeyRules(options.rules);
    using claims = rules === undefined || rules.injective ? undefined : new TargetClaims();
    const { prefix } = this.#url;
    const splitPoints = this.#names.splitPoints(LANES * 4);
    await listParallel(
      this.#store,
      { prefix, lanes: LANES, splitPoints, signal: this.#signal },
      async (span) => {
        const named: ListedObject[] = [];
        for (const { key, object, rows } of joinByKey(span.objects, this.#names.keys(prefix, span))) {
          if (object === undefined) {
            this.#names.addAbsent(key);
            continue;
          }
          this.#objects++;
          this.#bytes += object.sizeBytes;
          if (rows === 0) this.#find({ kind: 'orphan', key });
          else named.push(object);
          if (rows > 1) this.#find({ kind: 'shared', key, rows });
          if (rows > 0 && object.sizeBytes === 0) this.#find({ kind: 'empty', key });
          const target = rules?.targetOf(key);
          const other = target === undefined ? undefined : claims?.claim(target, key);
          if (other !== undefined)
            this.#find({ kind: 'collision', key, detail: `${other} also becomes ${target}` });
        }
        if (options.contentTypes === true) await this.#compareContentTypes(named);
      },
    );
  }

  async tellMissing(): Promise<void> {
    const existing = async (keys: readonly string[]): Promise<ReadonlySet<string>> => {
      const found = await observe(this.#store, keys, { concurrency: OBSERVE_LANES, signal: this.#signal });
      return new Set(found.keys());
    };
    const readingsOf = (value: string, { facts }: Pick<BoundColumn, 'facts'>): string[][] =>
      this.#finder.find(value, facts.within).map(sourceKeysOf);
    for await (const row of danglingRows(
      this.#names,
      this.#columns,
      { existing, readingsOf },
      this.#signal,
    )) {
      this.#find({ kind: 'missing', ...row });
    }
  }

  result(): Omit<AuditResult, 'store'> {
    return {
      objects: this.#objects,
      bytes: this.#bytes,
      rowsRead: this.#rowsRead,
      references: this.#references,
      counts: this.#counts,
    };
  }

  async #compareContentTypes(objects: readonly ListedObject[]): Promise<void> {
    await mapConcurrent(objects, LANES, async ({ key }) => {
      const head = await this.#store.head(key, this.#signal);
      const detail = head === undefined ? undefined : contentTypeProblem(key, head.attributes.contentType);
      if (detail !== undefined) this.#find({ kind: 'content-type', key, detail });
    });
  }

  #find(finding: AuditFinding): void {
    this.#counts[finding.kind]++;
    this.#onFinding(finding);
  }

  [Symbol.dispose](): void {
    this.#names[Symbol.dispose]();
  }
}
