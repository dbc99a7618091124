/** Checks one side of a move by doing what the move does: list, head, get, put and delete a marker. */

import { randomUUID } from 'node:crypto';
import { LongshoreError } from '../../errors.ts';
import type { Clock } from '../../flow/clock.ts';
import type {
  BucketSettings,
  ListedObject,
  ObjectStore,
  StoreCapabilities,
} from '../../stores/object-store.ts';
import {
  ARCHIVED_CLASSES,
  archivedFinding,
  bucketFindings,
  type Finding,
  findingOf,
  skewFinding,
} from './findings.ts';
import type { MoveSettings } from './settings.ts';

export type Side = 'source' | 'target';

/** What was seen of one side. Fields are absent where it could not be asked. */
export interface CheckedStore {
  readonly name: string;
  readonly settings?: BucketSettings | undefined;
  /** Undefined where no marker may be written and removed, so that nothing could be tried. */
  readonly capabilities?: StoreCapabilities | undefined;
  readonly findings: readonly Finding[];
}

export interface StoreToCheck {
  readonly side: Side;
  readonly store: ObjectStore;
  readonly prefix: string;
  readonly move: MoveSettings;
  readonly clock: Clock;
}

/**
 * Never throws for what it finds. Leaves nothing behind but, in a versioned bucket, the versions and delete markers
 * of its markers.
 */
export async function checkStore(about: StoreToCheck, signal: AbortSignal): Promise<CheckedStore> {
  const check = new StoreCheck(about, signal);
  return check.run();
}

class StoreCheck {
  readonly #about: StoreToCheck;
  readonly #signal: AbortSignal;
  readonly #findings: Finding[] = [];

  constructor(about: StoreToCheck, signal: AbortSignal) {
    this.#about = about;
    this.#signal = signal;
  }

  async run(): Promise<CheckedStore> {
    const { side, store, prefix, move } = this.#about;
    const settings = await this.#try(() => store.settings(this.#signal));
    if (settings === undefined) return { name: store.name, findings: this.#findings };
    this.#findings.push(...bucketFindings(side, store.name, settings, move));
    const page = await this.#try(() => store.list({ prefix }, this.#signal));
    if (page !== undefined) await this.#readSome(page.objects);
    const removable = await this.#mayDelete();
    const capabilities = removable ? await this.#capabilities() : undefined;
    if (capabilities !== undefined) {
      this.#sayWhatIsNotKept(capabilities);
      await this.#compareClocks();
    }
    return { name: store.name, settings, capabilities, findings: this.#findings };
  }

  /** The first object of the listing stands for all: its facts, its bytes, its tags. */
  async #readSome(objects: readonly ListedObject[]): Promise<void> {
    const { side, store, move } = this.#about;
    if (objects.length === 0) {
      if (side === 'source') {
        this.#say(
          'info',
          `there is nothing under ${store.name}/${this.#about.prefix}`,
          'check the prefix, if this is a surprise',
        );
      }
      return;
    }
    if (side === 'source') {
      const classes = new Map<string, number>();
      for (const { storageClass } of objects) {
        if (ARCHIVED_CLASSES.has(storageClass))
          classes.set(storageClass, (classes.get(storageClass) ?? 0) + 1);
      }
      this.#findings.push(...archivedFinding(classes, objects.length));
    }
    const first = objects.find(({ storageClass }) => !ARCHIVED_CLASSES.has(storageClass));
    if (first === undefined) return;
    const head = await this.#try(() => store.head(first.key, this.#signal));
    if (head === undefined) return;
    await this.#try(async () => {
      const opened = await store.get({ key: first.key }, this.#signal);
      // A body that is given up half-way says so as an error; here that is what is wanted.
      opened?.body.once('error', () => undefined).destroy();
    });
    if (side === 'source' && move.tags && store.kind === 's3') {
      await this.#try(
        () => store.tags(first.key, this.#signal),
        head.tagCount === undefined ? 'warning' : 'error',
      );
    }
  }

  /**
   * The right to delete is tried on a key that does not exist: a marker that could not be removed must not be made.
   * Without it on the target, whether it may be written is not tried either.
   */
  async #mayDelete(): Promise<boolean> {
    const { side, store, prefix, move } = this.#about;
    try {
      const [outcome] = await store.delete(
        [{ key: `${prefix}.longshore-probe-${randomUUID().slice(0, 8)}/absent` }],
        this.#signal,
      );
      if (outcome?.kind !== 'failed') return true;
      throw new LongshoreError('STORE_DENIED', `DELETE ${store.name}: ${outcome.code} (${outcome.message})`, {
        hint: `allow s3:DeleteObject on ${store.name}`,
        context: { action: 's3:DeleteObject' },
      });
    } catch (error) {
      this.#signal.throwIfAborted();
      const finding = findingOf(error);
      if (finding.code !== 'STORE_DENIED') this.#findings.push(finding);
      else if (side === 'source' && move.delete !== 'never') this.#findings.push(finding);
      else this.#sayNotProbed('s3:DeleteObject');
      return false;
    }
  }

  async #capabilities(): Promise<StoreCapabilities | undefined> {
    const { side, store, prefix } = this.#about;
    try {
      return await store.capabilities(prefix, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      const finding = findingOf(error);
      if (finding.code !== 'STORE_DENIED') this.#findings.push(finding);
      else if (side === 'target') this.#findings.push(finding);
      else this.#sayNotProbed(finding.action ?? 's3:PutObject');
      return undefined;
    }
  }

  #sayNotProbed(action: string): void {
    const { side, store } = this.#about;
    const untried = side === 'target' ? '; whether it may be written was not tried' : '';
    this.#say(
      'info',
      `${store.name}: no marker may be written and removed, so its conditions are not probed and not relied upon${untried}`,
      `allow ${action} on markers, as \`longshore grants --probe\` prints it, or leave it: listings stand in for conditions`,
      action,
    );
  }

  #sayWhatIsNotKept(capabilities: StoreCapabilities): void {
    const { side, store, move } = this.#about;
    if (side === 'source') return;
    if (move.tags && !capabilities.tags) {
      this.#say(
        'warning',
        `${store.name} does not take tags, or these credentials may not set them: objects with tags fail`,
        'allow s3:PutObjectTagging, or give tags up with --no-tags',
        's3:PutObjectTagging',
      );
    }
    if (move.acl && !capabilities.acl) {
      this.#say(
        'error',
        `${store.name} does not take ACLs, or these credentials may not set them`,
        'allow s3:GetObjectAcl and s3:PutObjectAcl, or leave out --acl',
        's3:PutObjectAcl',
      );
    }
  }

  /** A marker's last-modified time is the store's clock. */
  async #compareClocks(): Promise<void> {
    const { store, prefix, clock } = this.#about;
    const key = `${prefix}.longshore-probe-${randomUUID().slice(0, 8)}`;
    const body = Buffer.from('longshore');
    const request = { key, body, sizeBytes: body.byteLength, attributes: { metadata: {} }, ifAbsent: false };
    await this.#try(async () => {
      await store.put(request, this.#signal);
      const nowMs = clock.now();
      try {
        const head = await store.head(key, this.#signal);
        if (head !== undefined) this.#findings.push(...skewFinding(store.name, nowMs - head.lastModifiedMs));
      } finally {
        await store.delete([{ key }]);
      }
    });
  }

  #say(level: Finding['level'], what: string, fix: string, action?: string): void {
    this.#findings.push({ level, what, fix, ...(action === undefined ? {} : { action }) });
  }

  /** What the work resolves to; an error becomes a finding. */
  async #try<T>(work: () => Promise<T>, level: Finding['level'] = 'error'): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#findings.push({ ...findingOf(error), level });
      return undefined;
    }
  }
}
