/** What settings of a replication are refused. */

import { expect, test } from 'vitest';
import { resolveReplicateOptions } from './settings.ts';

const named = (name: string) =>
  resolveReplicateOptions({ from: 'postgres://db/shop', to: 'file:///lake/', name });

test.each(['load', 'verify', 'shop_load', 'shop_verify', 'Shop', '', 'a'.repeat(41)])(
  'no job is called "%s"',
  (name) => {
    expect(() => named(name)).toThrow('its last word is not load or verify');
  },
);

test.each(['shop', 'longshore', 'load_shop', 'download', 'shop_verify_2', 'a'.repeat(40)])(
  'a job is called "%s"',
  (name) => {
    expect(named(name).name).toBe(name);
  },
);
