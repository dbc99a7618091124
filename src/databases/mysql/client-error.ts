/** What the client says when it stops at a statement, without the statement and without values. */

import { withoutValues } from './errors.ts';

export interface ClientError {
  /** `ERROR 1062 (23000) at line 5: Duplicate entry for key 'PRIMARY'` */
  readonly message: string;
  readonly hint: string | undefined;
}

/** @param said the end of its standard error; some versions write the whole statement before the error */
export function clientError(said: string): ClientError | undefined {
  const errors = [
    ...said.matchAll(/^(ERROR (\d+)(?: \(\w+\))?(?: at line \d+)?(?: in file: '[^']*')?: )(.*)/gm),
  ];
  const last = errors.at(-1);
  if (last === undefined) return undefined;
  const number = Number(last[2]);
  return { message: `${last[1]}${withoutValues(last[3]!, number)}`, hint: HINTS[number] };
}

const PACKET =
  'set max_allowed_packet of the server to what the dumped server has, or higher: a row is larger';
const HINTS: Readonly<Record<number, string>> = {
  1064: 'the dump is of a product or a version that this server does not understand',
  1153: PACKET,
  1227: 'views, triggers, routines and events belong to other accounts: restore as a user that may set a definer (SET USER, SET_USER_ID or SUPER)',
  1273: 'the dump is of a newer version: this server does not know a collation in it',
  1418: 'set log_bin_trust_function_creators of the server to 1 while it is restored',
  1419: 'set log_bin_trust_function_creators of the server to 1 while it is restored',
  1449: 'make the account that it names, or restore as a user that may set a definer',
  2006: PACKET,
  2013: PACKET,
};
