/** Surveys a move without a journal: reads the rows, lists the source, looks at the target, counts. */

import { forEachConcurrent } from '../../flow/for-each-concurrent.ts';
import type { ListedObject } from '../../stores/object-store.ts';
import { observe } from '../../stores/observe.ts';
import type { S3Limits } from '../../stores/s3/s3-client.ts';
import { OBSERVE_LANES } from './batch-object.ts';
import type { BoundColumn, MoveScope } from './context.ts';
import { type DanglingRow, danglingRows } from './dangling-rows.ts';
import { fits } from './findings.ts';
import { type Collision, checkTargets, isCandidate, type LayOutOptions, layOut } from './lay-out.ts';
import { joinByKey, NameIndex } from './name-index.ts';
import { ObjectCounts } from './plan-objects.ts';
import { settleReadings, sourceKeysOf } from './settle-readings.ts';
import { type SweepSpec, sweepShards, sweptRows } from './sweep-stage.ts';
import { TargetClaims } from './target-claims.ts';

/** What was counted. */
export interface Survey {
  readonly counts: ObjectCounts;
  /** Whether the source was listed; else only what rows name was looked at. */
  readonly listed: boolean;
  /** Pages of the listing. */
  readonly pages: number;
  readonly excluded: number;
  readonly orphans: number;
  /** Rows of each column that name an object of the source, and how many of their new values would not fit. */
  readonly columns: readonly { readonly rows: number; readonly tooLong: number }[];
  readonly missing: { readonly count: number; readonly listed: readonly DanglingRow[] };
  readonly collisions: { readonly count: number; readonly listed: readonly Collision[] };
  /** Whether the store copies by itself. */
  readonly serverSide: boolean;
  /** Mean of a few HEADs one after the other; undefined where there is no object. */
  readonly headMs: number | undefined;
}

const LISTED = 20;
const PAGE_KEYS = 1000;
const ROW_LANES = 3;
const HEADS_MEASURED = 8;

/** Rows first, then objects: an object is there before a row names it. Changes nothing. */
export async function surveyMove(scope: MoveScope, limits: S3Limits, signal: AbortSignal): Promise<Survey> {
  using surveyor = new Surveyor(scope, limits, signal);
  return await surveyor.run();
}

class Surveyor implements Disposable {
  readonly #scope: MoveScope;
  readonly #signal: AbortSignal;
  readonly #names = new NameIndex();
  readonly #claims: TargetClaims | undefined;
  readonly #counts: ObjectCounts;
  readonly #serverSide: boolean;
  readonly #columns: { rows: number; tooLong: number }[];
  readonly #collisions: Collision[] = [];
  readonly #someKeys: string[] = [];
  #collided = 0;
  #excluded = 0;
  #orphans = 0;
  #pages = 0;

  constructor(scope: MoveScope, limits: S3Limits, signal: AbortSignal) {
    this.#scope = scope;
    this.#signal = signal;
    const { settings, sourceCapabilities, targetCapabilities } = scope;
    this.#serverSide =
      settings.copyWith !== 'stream' &&
      targetCapabilities.serverSideCopy &&
      scope.target.canCopyFrom(scope.source);
    this.#counts = new ObjectCounts({
      prove: settings.prove,
      sourceEtag: sourceCapabilities.etag,
      targetEtag: targetCapabilities.etag,
      serverSide: this.#serverSide,
      partCopy: targetCapabilities.partCopy,
      limits,
    });
    this.#columns = scope.columns.map(() => ({ rows: 0, tooLong: 0 }));
    this.#claims = scope.rules.injective ? undefined : new TargetClaims();
  }

  async run(): Promise<Survey> {
    const { settings, columns } = this.#scope;
    await forEachConcurrent(sweepShards(this.#scope, this.#signal), ROW_LANES, (spec) =>
      this.#readRows(spec),
    );
    this.#names.seal();
    // Who asks for rows may have a bucket too large to list; else a listing is cheap and tells more.
    const listed = settings.by !== 'rows' || settings.orphans === 'move' || columns.length === 0;
    if (listed) await this.#listSource();
    else await this.#lookUpNames();
    return {
      counts: this.#counts,
      listed,
      pages: this.#pages,
      excluded: this.#excluded,
      orphans: this.#orphans,
      columns: this.#columns,
      missing: await this.#missing(),
      collisions: { count: this.#collided, listed: this.#collisions },
      serverSide: this.#serverSide,
      headMs: await this.#headMs(),
    };
  }

  async #readRows({ column: index, range }: SweepSpec): Promise<void> {
    const { columns, finder } = this.#scope;
    const column = columns[index]!;
    const counted = this.#columns[index]!;
    for await (const batch of sweptRows(this.#scope, column, range, this.#signal)) {
      counted.rows += batch.length;
      const all = batch.flatMap(({ references }) => references);
      const settle = await settleReadings(all, this.#scope, this.#signal);
      for (const { row, references } of batch) {
        for (const key of new Set(references.map((reference) => settle(reference).sourceKey)))
          this.#names.add(key, { column: index, primaryKey: row.primaryKey });
        if (!fits(column.facts, finder.rewrite(row.value, references))) counted.tooLong++;
      }
    }
  }

  async #listSource(): Promise<void> {
    const { columns, settings, emit } = this.#scope;
    const orphansMove = columns.length === 0 || settings.orphans === 'move';
    await layOut(
      this.#scope,
      this.#lookAtTargets(),
      {
        onSpan: (prefix, span) => {
          this.#pages++;
          for (const { key, object } of joinByKey(span.objects, this.#names.keys(prefix, span))) {
            if (object === undefined) this.#names.addAbsent(key);
          }
        },
        onShard: (spec, objects) => {
          const existing = new Set(spec.existing);
          for (const { object, rows } of joinByKey(objects, this.#names.keys(spec.prefix, spec))) {
            if (object === undefined) continue;
            const orphan = rows === 0 && columns.length > 0;
            if (orphan) this.#orphans++;
            if (!orphan || orphansMove) this.#count(object, existing.has(object.key));
          }
          emit({ type: 'planning', objects: this.#counts.count, bytes: this.#counts.bytes });
        },
        onSkipped: (count) => {
          this.#excluded += count;
        },
        onCollision: (collision) => this.#collide(collision),
      },
      this.#signal,
    );
  }

  /** Without a listing: every key that a row names is looked up on both sides. */
  async #lookUpNames(): Promise<void> {
    for (const page of this.#names.pages(PAGE_KEYS)) {
      const keys = page.map(({ key }) => key).filter((key) => isCandidate(this.#scope, key));
      const found = await this.#observe(this.#scope.source, keys);
      for (const key of keys) if (!found.has(key)) this.#names.addAbsent(key);
      const objects = keys.flatMap((key) => found.get(key) ?? []);
      const sink = { onCollision: (collision: Collision) => this.#collide(collision) };
      const existing = await checkTargets(this.#scope, this.#lookAtTargets(), objects, sink, this.#signal);
      const onTarget = new Set(existing);
      for (const object of objects) this.#count(object, onTarget.has(object.key));
    }
  }

  #lookAtTargets(): LayOutOptions {
    const claims = this.#claims;
    return {
      lookAtTarget: true,
      claimTarget: claims && ((target, source) => claims.claim(target, source)),
    };
  }

  #count(object: ListedObject, onTarget: boolean): void {
    this.#counts.add(object, onTarget);
    if (this.#someKeys.length < HEADS_MEASURED) this.#someKeys.push(object.key);
  }

  #collide(collision: Collision): void {
    this.#collided++;
    if (this.#collisions.length < LISTED) this.#collisions.push(collision);
  }

  #observe(store: MoveScope['source'], keys: readonly string[]): Promise<Map<string, ListedObject>> {
    return observe(store, keys, { concurrency: OBSERVE_LANES, signal: this.#signal });
  }

  /** Rows whose object is on neither side. */
  async #missing(): Promise<Survey['missing']> {
    const { columns, rules, source, target, finder } = this.#scope;
    const existing = async (keys: readonly string[]): Promise<Set<string>> => {
      const targets = keys.map((key) => rules.targetOf(key)!);
      const [mine, theirs] = await Promise.all([this.#observe(source, keys), this.#observe(target, targets)]);
      return new Set(keys.filter((key, i) => mine.has(key) || theirs.has(targets[i]!)));
    };
    const readingsOf = (value: string, { facts }: Pick<BoundColumn, 'facts'>): string[][] =>
      finder.find(value, facts.within).map(sourceKeysOf);
    const listed: DanglingRow[] = [];
    let count = 0;
    for await (const row of danglingRows(this.#names, columns, { existing, readingsOf }, this.#signal)) {
      count++;
      if (listed.length < LISTED) listed.push(row);
    }
    return { count, listed };
  }

  async #headMs(): Promise<number | undefined> {
    const { source, clock } = this.#scope;
    if (this.#someKeys.length === 0) return undefined;
    const started = clock.now();
    for (const key of this.#someKeys) await source.head(key, this.#signal);
    return (clock.now() - started) / this.#someKeys.length;
  }

  [Symbol.dispose](): void {
    this.#names[Symbol.dispose]();
    this.#claims?.[Symbol.dispose]();
  }
}
