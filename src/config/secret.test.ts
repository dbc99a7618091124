import { format, inspect } from 'node:util';
import { expect, it } from 'vitest';
import { Secret } from './secret.ts';

it('shows itself only when asked', () => {
  const secret = new Secret('hush');
  const shown = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect({ a: [secret] }, { depth: 9, showHidden: true }),
    format('%s %o %j', secret, secret, secret),
    JSON.stringify(structuredClone({ secret: { ...secret } })),
  ];
  for (const text of shown) expect(text).not.toContain('hush');
  expect(shown[0]).toBe('<redacted>');
  expect(secret.reveal()).toBe('hush');
});
