/**
 * Programs that write everything a replication has to stand: every transaction tells in tables of its own what it changed,
 * row by row, by triggers. What is rolled back is rolled back there too.
 */

import pg from 'pg';

/** Changes in the order in which one writer made them; rows as JSON of texts. */
export interface AuditedChange {
  readonly writer: number;
  readonly xid: number;
  readonly table: string;
  readonly op: 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';
  readonly before: AuditedRow | null;
  readonly after: AuditedRow | null;
}

export type AuditedRow = Readonly<Record<string, string | null>>;

/** Tables that are replicated, and the columns by which their rows are known. */
export const AUDITED_TABLES: Readonly<Record<string, readonly string[]>> = {
  log: ['writer', 'seq'],
  items: ['id'],
  keyless: [],
  evolving: ['id'],
  big: ['id'],
};

/** Makes the tables, with rows in them. */
export const AUDITED_SCHEMA = `
  CREATE SCHEMA audit;
  CREATE TABLE audit.changes (n bigserial PRIMARY KEY, writer int NOT NULL, xid bigint NOT NULL, tbl text NOT NULL,
    op text NOT NULL, before jsonb, after jsonb);
  CREATE FUNCTION audit.texts(r jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
    $$ SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(r) $$;
  CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO audit.changes (writer, xid, tbl, op, before, after) VALUES (
      current_setting('audit.writer')::int, txid_current(), TG_TABLE_NAME, TG_OP,
      CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN audit.texts(to_jsonb(OLD)) END,
      CASE WHEN TG_OP IN ('UPDATE', 'INSERT') THEN audit.texts(to_jsonb(NEW)) END);
    RETURN NULL; END $$;
  CREATE TABLE log (writer int, seq int, xid bigint, PRIMARY KEY (writer, seq));
  CREATE TABLE items (id bigint PRIMARY KEY, v text NOT NULL, n numeric(12, 2), flag boolean, doc jsonb);
  ALTER TABLE items ALTER doc SET STORAGE EXTERNAL;
  CREATE TABLE keyless (a int, b text, body text);
  ALTER TABLE keyless REPLICA IDENTITY FULL;
  ALTER TABLE keyless ALTER body SET STORAGE EXTERNAL;
  CREATE TABLE evolving (id int PRIMARY KEY, touched int NOT NULL DEFAULT 0, c1 int, c2 int, body text, spare text);
  ALTER TABLE evolving ALTER body SET STORAGE EXTERNAL;
  CREATE TABLE big (id bigint PRIMARY KEY, v text);
  CREATE SEQUENCE audit.ids START 10000;
  INSERT INTO items SELECT i, 'loaded ' || i, i / 3.0, i % 2 = 0, jsonb_build_object('t', repeat(md5(i::text), 100))
    FROM generate_series(1, 1000) i;
  INSERT INTO keyless SELECT i % 20, 'loaded', repeat(md5(i::text), 100) FROM generate_series(1, 40) i;
  INSERT INTO evolving SELECT i, 0, i, i, repeat(md5(i::text), 100), repeat(md5(i::text), 100) FROM generate_series(1, 30) i;
  INSERT INTO big SELECT i, 'loaded' FROM generate_series(1, 500) i;
  ${Object.keys(AUDITED_TABLES)
    .map(
      (table) => `
  CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION audit.note();
  CREATE TRIGGER note_truncate AFTER TRUNCATE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION audit.note();`,
    )
    .join('')}`;

/** One connection that writes transactions, one after another. */
abstract class AuditedWriter implements AsyncDisposable {
  protected readonly random: () => number;
  readonly #client: pg.Client;
  readonly #number: number;
  #seq = 0;

  protected constructor(client: pg.Client, number: number, random: () => number) {
    this.#client = client;
    this.#number = number;
    this.random = random;
  }

  protected static async connect(url: string, number: number): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query(`SET audit.writer = ${number}`);
    return client;
  }

  /** Writes one transaction; one in ten is rolled back. */
  async transaction(): Promise<void> {
    await this.sql('BEGIN');
    await this.sql(`INSERT INTO log VALUES (${this.#number}, ${this.#seq + 1}, txid_current())`);
    await this.work();
    if (this.random() < 0.1) {
      await this.sql('ROLLBACK');
      return;
    }
    await this.sql('COMMIT');
    this.#seq++;
  }

  protected abstract work(): Promise<void>;

  protected async sql(text: string): Promise<void> {
    await this.#client.query(text);
  }

  /** An integer from `low` to `high`. */
  protected pick(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }
}

type Work = () => Promise<void>;

/** Small transactions of every kind, over several tables. */
export class EverydayWriter extends AuditedWriter {
  static async open(url: string, random: () => number): Promise<EverydayWriter> {
    return new EverydayWriter(await AuditedWriter.connect(url, 1), 1, random);
  }

  protected async work(): Promise<void> {
    for (let left = this.pick(1, 3); left > 0; left--) await this.#weighted();
  }

  async #weighted(): Promise<void> {
    const kinds: readonly (readonly [number, Work])[] = [
      [20, () => this.#insert()],
      [
        20,
        () =>
          this.sql(
            `UPDATE items SET v = 'updated ' || ${this.pick(1, 99)}, n = n + 0.01 WHERE ${this.#someItems()}`,
          ),
      ],
      [
        5,
        () =>
          this.sql(
            `UPDATE items SET doc = jsonb_build_object('t', repeat(md5(${this.random()}::text), 80)) WHERE ${this.#someItems()}`,
          ),
      ],
      [10, () => this.sql(`DELETE FROM items WHERE id = ${this.pick(1, 1000)}`)],
      [
        10,
        () =>
          this.sql(
            `UPDATE items SET id = nextval('audit.ids'), flag = NOT flag WHERE id = (SELECT min(id) FROM items WHERE id >= ${this.pick(1, 1000)})`,
          ),
      ],
      [
        10,
        () =>
          this.sql(`UPDATE keyless SET b = 'updated ' || ${this.pick(1, 9)} WHERE a = ${this.pick(0, 19)}`),
      ],
      [4, () => this.sql(`DELETE FROM keyless WHERE a = ${this.pick(0, 19)}`)],
      [
        6,
        () =>
          this.sql(
            `INSERT INTO keyless SELECT ${this.pick(0, 19)}, 'new', repeat(md5(${this.random()}::text), 100) FROM generate_series(1, 2)`,
          ),
      ],
      [10, () => this.sql(`UPDATE evolving SET touched = touched + 1 WHERE id = ${this.pick(1, 30)}`)],
      [10, () => this.#savepoints()],
      [3, () => this.#evolve()],
      [1, () => this.#truncate()],
    ];
    const total = kinds.reduce((sum, [weight]) => sum + weight, 0);
    let at = this.random() * total;
    for (const [weight, work] of kinds) {
      at -= weight;
      if (at < 0) return work();
    }
  }

  #someItems(): string {
    const low = this.pick(1, 1000);
    return `id BETWEEN ${low} AND ${low + 5}`;
  }

  #insert(): Promise<void> {
    return this.sql(`INSERT INTO items SELECT nextval('audit.ids'), 'new', ${this.pick(0, 99_999)} / 100.0, NULL, '{}'
      FROM generate_series(1, ${this.pick(1, 4)})`);
  }

  async #savepoints(): Promise<void> {
    await this.sql('SAVEPOINT a');
    await this.#insert();
    await this.sql('SAVEPOINT b');
    await this.sql(`UPDATE items SET v = 'rolled back' WHERE ${this.#someItems()}`);
    await this.sql(this.random() < 0.5 ? 'ROLLBACK TO b' : 'RELEASE b');
    await this.sql(`DELETE FROM items WHERE id = ${this.pick(1, 1000)}`);
    await this.sql(this.random() < 0.5 ? 'ROLLBACK TO a' : 'RELEASE a');
  }

  /** Changes columns and then every row, since rows that are not touched are not sent again. */
  async #evolve(): Promise<void> {
    const [has, column] = [
      "SELECT FROM pg_attribute WHERE attrelid = 'evolving'::regclass AND NOT attisdropped AND attname",
      `x${this.pick(1, 3)}`,
    ];
    const ddl = [
      `DO $$ BEGIN IF EXISTS (${has} = '${column}') THEN ALTER TABLE evolving DROP COLUMN ${column};
         ELSE ALTER TABLE evolving ADD COLUMN ${column} int DEFAULT ${this.pick(1, 9)}; END IF; END $$`,
      `DO $$ BEGIN IF EXISTS (${has} = 'c2') THEN ALTER TABLE evolving RENAME c2 TO renamed;
         ELSE ALTER TABLE evolving RENAME renamed TO c2; END IF; END $$`,
      `DO $$ BEGIN IF EXISTS (${has} = 'c1' AND atttypid = 'int'::regtype) THEN ALTER TABLE evolving ALTER c1 TYPE bigint;
         ELSE ALTER TABLE evolving ALTER c1 TYPE int; END IF; END $$`,
      `DO $$ BEGIN IF EXISTS (${has} = 'spare') THEN ALTER TABLE evolving DROP COLUMN spare;
         ELSE ALTER TABLE evolving ADD COLUMN spare text; ALTER TABLE evolving ALTER spare SET STORAGE EXTERNAL;
              UPDATE evolving SET spare = repeat(md5(id::text), 100); END IF; END $$`,
    ][this.pick(0, 3)]!;
    if (this.random() < 0.5) await this.sql(`UPDATE evolving SET touched = touched + 1 WHERE id < 10`);
    await this.sql(ddl);
    await this.sql('UPDATE evolving SET touched = touched + 1');
  }

  async #truncate(): Promise<void> {
    await this.sql(
      ['TRUNCATE items', 'TRUNCATE keyless, evolving', 'TRUNCATE items, keyless'][this.pick(0, 2)]!,
    );
    await this.sql(
      `INSERT INTO evolving (id, body) SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 30) i ON CONFLICT DO NOTHING`,
    );
    await this.sql(`INSERT INTO items SELECT i, 'again', i, true, jsonb_build_object('t', repeat(md5(i::text), 100))
      FROM generate_series(1, ${this.pick(50, 300)}) i ON CONFLICT DO NOTHING`);
  }
}

/** Large transactions, which the server sends before they commit, with parts that are rolled back. */
export class LargeWriter extends AuditedWriter {
  static async open(url: string, random: () => number): Promise<LargeWriter> {
    return new LargeWriter(await AuditedWriter.connect(url, 2), 2, random);
  }

  protected async work(): Promise<void> {
    await this.#insert(this.pick(100, 600));
    for (let left = this.pick(0, 3); left > 0; left--) {
      await this.sql('SAVEPOINT a');
      await this.#insert(this.pick(10, 400));
      await this.sql('SAVEPOINT b');
      await this.sql(
        `UPDATE big SET v = 'updated ' || ${this.pick(1, 99)} WHERE id % 7 = ${this.pick(0, 6)} AND id < 3000`,
      );
      await this.sql(this.random() < 0.5 ? 'ROLLBACK TO b' : 'RELEASE b');
      await this.sql(`DELETE FROM big WHERE id % 50 = ${this.pick(0, 49)}`);
      await this.sql(this.random() < 0.5 ? 'ROLLBACK TO a' : 'RELEASE a');
    }
    if (this.random() < 0.05) await this.sql('TRUNCATE big');
    else if (this.random() < 0.2) await this.sql(`DELETE FROM big WHERE id > 3000 AND id % 3 > 0`);
  }

  #insert(rows: number): Promise<void> {
    return this.sql(
      `INSERT INTO big SELECT nextval('audit.ids'), repeat('x', ${this.pick(1, 200)}) FROM generate_series(1, ${rows})`,
    );
  }
}
