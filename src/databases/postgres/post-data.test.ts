import { expect, test } from 'vitest';
import { inTheWay, laterSteps, tableKey } from './post-data.ts';

const key = (name: string, schema = 'public') => tableKey({ schema, name });
const TABLES = new Set([key('a'), key('b'), key('odd ".t', 'Odd S')]);

const A_KEY = 'ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (id)';
const B_KEY = 'ALTER TABLE ONLY public.b\n    ADD CONSTRAINT "b u" UNIQUE ("x) REFERENCES y.z(")';
const B_INDEX = 'CREATE UNIQUE INDEX "b u" ON public.b USING btree ("x) REFERENCES y.z(")';
const B_USING = 'ALTER TABLE ONLY public.b ADD CONSTRAINT "b u" UNIQUE USING INDEX "b u"';
const A_INDEX = 'CREATE INDEX "i.1" ON public.a USING btree (n)';
const ODD_INDEX = 'CREATE UNIQUE INDEX i2 ON "Odd S"."odd "".t" USING gin (t) WHERE (n > 5)';
const A_TO_B = 'ALTER TABLE ONLY public.a\n    ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES public.b(id)';
const A_TO_ITSELF =
  'ALTER TABLE ONLY public.a ADD CONSTRAINT g FOREIGN KEY (p) REFERENCES public.a(id) NOT VALID';

test('keys and indexes are built together, keys and foreign keys made behind them', () => {
  const steps = laterSteps(
    [
      'SET statement_timeout = 0',
      `SELECT pg_catalog.set_config('search_path', '', false)`,
      A_KEY,
      'COMMENT ON CONSTRAINT a_pkey ON public.a IS $$x$$',
      B_KEY,
      A_INDEX,
      'ALTER TABLE public.a CLUSTER ON "i.1"',
      ODD_INDEX,
      A_TO_B,
      A_TO_ITSELF,
    ],
    TABLES,
  );
  expect(steps.map(({ kind }) => kind)).toEqual(['setting', 'setting', 'together', 'together', 'together']);
  expect(steps[2]).toEqual({
    kind: 'together',
    of: 'index',
    work: [
      {
        texts: ['CREATE UNIQUE INDEX a_pkey ON public.a USING btree (id)'],
        tables: [key('a')],
        alone: false,
      },
      { texts: [B_INDEX], tables: [key('b')], alone: false },
      { texts: [A_INDEX, 'ALTER TABLE public.a CLUSTER ON "i.1"'], tables: [key('a')], alone: false },
      { texts: [ODD_INDEX], tables: [key('odd ".t', 'Odd S')], alone: false },
    ],
  });
  expect(steps[3]).toEqual({
    kind: 'together',
    of: 'key',
    work: [
      {
        texts: [
          'ALTER TABLE ONLY public.a ADD CONSTRAINT a_pkey PRIMARY KEY USING INDEX a_pkey',
          'COMMENT ON CONSTRAINT a_pkey ON public.a IS $$x$$',
        ],
        tables: [key('a')],
        alone: true,
      },
      { texts: [B_USING], tables: [key('b')], alone: true },
    ],
  });
  expect(steps[4]).toMatchObject({
    of: 'foreign key',
    work: [
      { texts: [A_TO_B], tables: [key('a'), key('b')] },
      { texts: [A_TO_ITSELF], tables: [key('a'), key('a')] },
    ],
  });
});

test.each([
  ['UNIQUE ("a b", "c,)(""d")', true],
  ['UNIQUE NULLS NOT DISTINCT (a)', false],
  ['UNIQUE (a) INCLUDE (b)', false],
  ['UNIQUE (a) DEFERRABLE INITIALLY DEFERRED', false],
  ['PRIMARY KEY (a, b WITHOUT OVERLAPS)', false],
  ['EXCLUDE USING gist (r WITH &&)', false],
])('%s by an index of its columns: %s', (constraint, byIndex) => {
  const text = `ALTER TABLE ONLY public.a\n    ADD CONSTRAINT "k ""y" ${constraint}`;
  const [first] = laterSteps([text], TABLES);
  const built = `CREATE UNIQUE INDEX "k ""y" ON public.a USING btree ("a b", "c,)(""d")`;
  expect(first).toMatchObject({ of: 'index', work: [{ texts: [byIndex ? built : text], alone: !byIndex }] });
});

test('whatever else there is runs alone, in its place', () => {
  for (const text of [
    'CREATE INDEX i ON ONLY public.parted USING btree (id)',
    'CREATE INDEX i ON public.view USING btree (id)',
    'ALTER TABLE public.a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES public.b(id)',
    'ALTER TABLE ONLY public.a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES public.parted(id)',
    'ALTER INDEX public.i ATTACH PARTITION public.j',
    'REFRESH MATERIALIZED VIEW public.view',
    'CREATE TRIGGER t BEFORE INSERT ON public.a FOR EACH ROW EXECUTE FUNCTION public.f()',
    'COMMENT ON TABLE public.a IS $$x$$',
  ]) {
    const steps = laterSteps([A_INDEX, text, ODD_INDEX], TABLES);
    expect(steps, text).toMatchObject([{ of: 'index' }, { kind: 'single', text }, { of: 'index' }]);
  }
  expect(laterSteps(['COMMENT ON INDEX public.i IS $$x$$'], TABLES)).toMatchObject([{ kind: 'single' }]);
});

test('a table that is changed is in the way of all that need it', () => {
  const work = (alone: boolean, ...tables: string[]) => ({ texts: [], tables, alone });
  expect(inTheWay(work(false, 'a'), work(false, 'a'))).toBe(false);
  expect(inTheWay(work(true, 'a'), work(false, 'a'))).toBe(true);
  expect(inTheWay(work(false, 'b'), work(true, 'a', 'b'))).toBe(true);
  expect(inTheWay(work(true, 'a', 'b'), work(true, 'c'))).toBe(false);
});
