/** Bytes as the text that they are in UTF-8, wherever they are cut. */

import { StringDecoder } from 'node:string_decoder';

/** What is no UTF-8 becomes U+FFFD. */
export async function* utf8Text(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  for await (const chunk of bytes) yield decoder.write(chunk);
  yield decoder.end();
}
