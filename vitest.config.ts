import { defineConfig } from 'vitest/config';

/** Kinds of test stand in the file name: `x.test.ts` needs nothing; `x.pg.test.ts`, `x.mysql.test.ts`, `x.s3.test.ts` need servers. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          exclude: ['**/*.{pg,mysql,s3,e2e}.test.ts'],
          testTimeout: 20_000,
        },
      },
      {
        test: {
          name: 'servers',
          // Most of the time of these is that of servers, and waits: two at a time also on two cores.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          include: ['src/**/*.{pg,mysql,s3}.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'e2e',
          sequence: { groupOrder: 2 },
          include: ['test/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
