import { expect, test } from 'vitest';
import { inTheWay, laterSteps, tableKey } from './post-data.ts';

const key = (name: string, schema = 'public') => tableKey({ schema, name });
const TABLES = new Set([key('a'), key('b'), key('odd ".t', 'Odd S')]);

const A_KEY = 'ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (id)';
const B_KEY = 'ALTER TABLE ONLY public.b\n    ADD CONSTRAINT "b u" UNIQUE ("x) REFERENCES y.z(")';
const A_INDEX = 'CREATE INDEX "i.1" ON public.a USING btree (n)';
const ODD_INDEX = 'CREATE UNIQUE INDEX i2 ON "Odd S"."odd "".t" USING gin (t) WHERE (n > 5)';
const A_TO_B = 'ALTER TABLE ONLY public.a\n    ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES public.b(id)';
const A_TO_ITSELF =
  'ALTER TABLE ONLY public.a ADD CONSTRAINT g FOREIGN KEY (p) REFERENCES public.a(id) NOT VALID';

test('keys and indexes run together, foreign keys behind them', () => {
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
  expect(steps.map(({ kind }) => kind)).toEqual(['setting', 'setting', 'together', 'together']);
  expect(steps[2]).toEqual({
    kind: 'together',
    of: 'index',
    work: [
      {
        texts: [A_KEY, 'COMMENT ON CONSTRAINT a_pkey ON public.a IS $$x$$'],
        tables: [key('a')],
        alone: true,
      },
      { texts: [B_KEY], tables: [key('b')], alone: true },
      { texts: [A_INDEX, 'ALTER TABLE public.a CLUSTER ON "i.1"'], tables: [key('a')], alone: false },
      { texts: [ODD_INDEX], tables: [key('odd ".t', 'Odd S')], alone: false },
    ],
  });
  expect(steps[3]).toMatchObject({
    of: 'foreign key',
    work: [
      { texts: [A_TO_B], tables: [key('a'), key('b')] },
      { texts: [A_TO_ITSELF], tables: [key('a'), key('a')] },
    ],
  });
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
