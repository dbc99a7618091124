import { expect, it } from 'vitest';
import { resolveCloneOptions, resolveOwnerAndJobs } from './options.ts';

it('tells everything that is wrong at once', () => {
  const wrong = { from: 'postgres://h/d', ttl: '-5h', jobs: 0, owner: 'x'.repeat(201), pool: 'many' };
  expect(() => resolveCloneOptions(wrong)).toThrow(/ttl.*owner.*jobs.*pool/);
  expect(() => resolveOwnerAndJobs({ owner: 'x'.repeat(201), jobs: Number.NaN })).toThrow(/owner.*jobs/);
  expect(resolveOwnerAndJobs({ owner: 'ada', jobs: undefined })).toEqual({ owner: 'ada', jobs: 2 });
});
