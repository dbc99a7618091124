/** Reads a YAML file that somebody wrote by hand. */

import { parse } from 'yaml';
import { LongshoreError, messageOf } from '../errors.ts';

/** @param path of the file, for messages @returns an empty mapping for an empty file @throws CONFIG_INVALID */
export function readYaml(text: string, path: string): unknown {
  try {
    return parse(text) ?? {};
  } catch (error) {
    throw new LongshoreError('CONFIG_INVALID', `cannot read ${path}: ${messageOf(error).split('\n')[0]}`, {
      cause: error,
      hint: 'correct the YAML at that line',
    });
  }
}
