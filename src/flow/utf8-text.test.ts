import { expect, test } from 'vitest';
import { utf8Text } from './utf8-text.ts';

test('characters that are cut come whole', async () => {
  const text = 'a – 😀 ü';
  const bytes = Buffer.from(text);
  const each = async function* () {
    for (const byte of bytes) yield Buffer.from([byte]);
  };
  expect((await Array.fromAsync(utf8Text(each()))).join('')).toBe(text);
});
