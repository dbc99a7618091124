/** What the parts of a replication into files have in common: its settings, the source's control session, where files go. */

import type { DatabaseUrl } from '../../config/database-url.ts';
import { parseReplicaUrl } from '../../config/replica-url.ts';
import { folderPrefix } from '../../config/store-url.ts';
import { type Doing, postgresError } from '../../databases/postgres/errors.ts';
import { openSession, type Session } from '../../databases/postgres/open-session.ts';
import {
  type Publication,
  readPublication,
  type ServerFacts,
  type SlotState,
  serverFacts,
  setPublication,
} from '../../databases/postgres/replication-setup.ts';
import { LongshoreError } from '../../errors.ts';
import { monotonicMs } from '../../flow/clock.ts';
import { openTemporaryFolder } from '../../flow/temporary-folder.ts';
import { openStore } from '../../stores/open-store.ts';
import type { ReplicateListener } from './events.ts';
import type { LoadTarget } from './full-load.ts';
import { idleSlot } from './idle-slot.ts';
import { manifestKey } from './layout.ts';
import { landedByOther, type ManifestPlace } from './manifest.ts';
import type { ManifestSink } from './manifest-sink.ts';
import type { ReplicateSettings } from './settings.ts';
import { databaseOf, type Surroundings, slotOf } from './surroundings.ts';
import type { TableName } from './table-filter.ts';
import { sourceCatalogue } from './to-duckdb/source-catalogue.ts';
import { makeStaging, Warehouse } from './to-duckdb/warehouse.ts';
import { WalWatch } from './wal-watch.ts';

/** Of a process, which may make several attempts. */
export interface Totals {
  loaded: { readonly rows: number; readonly files: number; readonly bytes: number };
  changes: number;
  /** Whether the tables that were to be loaded again are. */
  resynced: boolean;
}

/** A server that takes longer is taken for lost. */
const ANSWER_MS = 30_000;

export class LakeJob {
  readonly settings: ReplicateSettings;
  readonly surroundings: Surroundings;
  readonly totals: Totals;
  readonly emit: ReplicateListener;
  readonly url: DatabaseUrl;
  /** The name of the slot and of the publication. */
  readonly slot: string;
  /** Whether changes are followed. */
  readonly follows: boolean;
  /** For the catalogue, and for values that updates leave out. */
  readonly control: Session;
  readonly place: ManifestPlace;
  readonly target: LoadTarget;
  /** Takes what is landed further. */
  readonly sink: ManifestSink | undefined;

  private constructor(
    settings: ReplicateSettings,
    surroundings: Surroundings,
    totals: Totals,
    opened: Pick<LakeJob, 'url' | 'control' | 'place' | 'target' | 'sink'>,
  ) {
    this.settings = settings;
    this.surroundings = surroundings;
    this.totals = totals;
    this.emit = (event) => {
      if (event.type === 'epoch-landed') totals.changes += event.changes;
      surroundings.emit(event);
    };
    this.url = opened.url;
    this.slot = slotOf(settings);
    this.follows = settings.mode !== 'full-load';
    this.control = opened.control;
    this.place = opened.place;
    this.target = opened.target;
    this.sink = opened.sink;
  }

  /** @param applies whether files for a DuckDB database are applied to it @param stack keeps what is open */
  static async open(
    settings: ReplicateSettings,
    surroundings: Surroundings,
    totals: Totals,
    applies: boolean,
    stack: AsyncDisposableStack,
  ): Promise<LakeJob> {
    const { env, clock, emit } = surroundings;
    const url = databaseOf(settings, env);
    const { store: to, duckdb } = parseReplicaUrl(settings.to);
    if (duckdb !== undefined) makeStaging(duckdb);
    const { store } = stack.use(await openStore(to, { env, clock }));
    const { path: folder } = stack.use(openTemporaryFolder('replicate'));
    const control = stack.use(
      await openSession(url.connection, {
        doing: {
          action: `read the catalogue of ${url.name}`,
          database: url.name,
          user: url.connection.user,
        },
      }),
    );
    const prefix = folderPrefix(to.prefix);
    const place = { store, prefix, job: settings.name };
    const sink =
      duckdb === undefined || !applies
        ? undefined
        : await Warehouse.make({
            ...surroundings,
            path: duckdb,
            settings,
            place,
            source: sourceCatalogue(control.client),
            notice: (text) => emit({ type: 'notice', text }),
          });
    const target = { store, prefix, folder, transient: duckdb !== undefined };
    return new LakeJob(settings, surroundings, totals, { url, control, place, target, sink });
  }

  notice(text: string): void {
    this.emit({ type: 'notice', text });
  }

  /** @throws the error of the server, told as of this action; the signal's reason when stopped */
  async within<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.surroundings.signal.throwIfAborted();
      throw postgresError(error, this.doing(action));
    }
  }

  /** The same, on the control session. */
  asked<T>(action: string, work: (client: Session['client']) => Promise<T>): Promise<T> {
    return this.within(action, () => work(this.control.client));
  }

  session(action: string, replication = false): Promise<Session> {
    return openSession(this.url.connection, { doing: this.doing(action), replication });
  }

  doing(action: string): Doing {
    return {
      action: `${action} (${this.url.name})`,
      database: this.url.name,
      user: this.url.connection.user,
    };
  }

  facts(action = 'ask about itself'): Promise<ServerFacts> {
    return this.asked(action, serverFacts);
  }

  idleSlot(): Promise<SlotState | undefined> {
    return this.asked('list slots', (client) => idleSlot(client, this.slot, this.surroundings));
  }

  publication(): Promise<Publication | undefined> {
    return this.asked('read the publication', (client) => readPublication(client, this.slot));
  }

  /** Gives the publication exactly these tables. */
  publish({ version }: ServerFacts, tables: readonly TableName[]): Promise<Publication> {
    return this.asked('make the publication', async (client) => {
      await setPublication(client, this.slot, tables, version);
      return (await readPublication(client, this.slot))!;
    });
  }

  /**
   * To be asked before anything in the bucket is replaced or deleted: a process that lost its connection may not know it.
   * @throws RUN_LOCKED where another process has landed that epoch; the error of the server where this one cannot be sure
   *   to hold the lock of the job any more
   */
  async checkOurs(epoch: number): Promise<void> {
    const { clock, signal } = this.surroundings;
    const stop = new AbortController();
    const late = clock.wait(ANSWER_MS, AbortSignal.any([signal, stop.signal])).then(() => {
      throw new LongshoreError('DATABASE_UNREACHABLE', `${this.url.name} does not answer`, {
        hint: 'check that it runs and can be reached',
      });
    });
    try {
      await Promise.race([
        late,
        this.asked('see that the job is its own', (client) => client.query('SELECT')),
      ]);
    } finally {
      stop.abort();
      late.catch(() => undefined);
    }
    const key = this.place.prefix + manifestKey(this.place.job, epoch);
    if ((await this.place.store.head(key, signal)) !== undefined) throw landedByOther(this.place, epoch);
  }

  watchWal(): WalWatch {
    const { clock } = this.surroundings;
    return new WalWatch(this.control.client, this.slot, this.settings, this.emit, () => monotonicMs(clock));
  }

  nowMs(): number {
    return this.surroundings.clock.now();
  }
}
