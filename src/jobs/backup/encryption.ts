/** Encryption of backups with age: to recipients, who alone can read them, so that the machine that backs up cannot. */

import { readFile } from 'node:fs/promises';
import { ReadableStream } from 'node:stream/web';
import { Decrypter, Encrypter } from 'age-encryption';
import { LongshoreError, messageOf } from '../../errors.ts';

export type BytesTransform = (bytes: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

/**
 * @param recipients `age1…`
 * @throws CONFIG_INVALID for one that is none
 */
export function encryptTo(recipients: readonly string[]): BytesTransform {
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch (error) {
      throw new LongshoreError('CONFIG_INVALID', `no recipient of age: ${recipient}: ${messageOf(error)}`, {
        cause: error,
        hint: 'give the public key that age-keygen prints: age1…',
      });
    }
  }
  return async function* (plain) {
    yield* buffers(await encrypter.encrypt(webStream(plain)));
  };
}

/** @throws CONFIG_INVALID for a file that holds no identity and, while it is read, for one of others; OBJECT_FAILED for what is damaged */
export async function decryptWith(identityFile: string): Promise<BytesTransform> {
  const decrypter = new Decrypter();
  const identities = (await readIdentities(identityFile)).filter((line) => line.startsWith('AGE-'));
  if (identities.length === 0) throw noIdentity(identityFile, 'it holds none');
  for (const identity of identities) {
    try {
      decrypter.addIdentity(identity);
    } catch (error) {
      // What is wrong with it may quote it.
      throw noIdentity(identityFile, `one of it is none${error instanceof Error ? '' : ' that is known'}`);
    }
  }
  return async function* (encrypted) {
    let plain: AsyncIterable<Uint8Array>;
    try {
      plain = await decrypter.decrypt(webStream(encrypted));
    } catch (error) {
      if (error instanceof LongshoreError) throw error;
      const code = /no identity matched/.test(messageOf(error)) ? 'CONFIG_INVALID' : 'OBJECT_FAILED';
      throw new LongshoreError(code, `cannot decrypt the backup: ${messageOf(error)}`, {
        cause: error,
        hint: 'give the file of an identity that it was encrypted to, with --identity',
      });
    }
    yield* buffers(plain);
  };
}

async function readIdentities(path: string): Promise<string[]> {
  try {
    return (await readFile(path, 'utf8')).split(/\r?\n/).map((line) => line.trim());
  } catch (error) {
    throw noIdentity(path, messageOf(error));
  }
}

function noIdentity(path: string, why: string): LongshoreError {
  return new LongshoreError('CONFIG_INVALID', `cannot take identities of age from ${path}: ${why}`, {
    hint: 'give the file that age-keygen wrote',
  });
}

function webStream(bytes: AsyncIterable<Buffer>): globalThis.ReadableStream<Uint8Array> {
  return ReadableStream.from(bytes) as unknown as globalThis.ReadableStream<Uint8Array>;
}

async function* buffers(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const { buffer, byteOffset, byteLength } of bytes)
    yield Buffer.from(buffer, byteOffset, byteLength);
}
