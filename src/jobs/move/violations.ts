/** What a verification found not to hold: all of it counted, some of it listed. */

/** `promise` is its number in the design: 1, a row names an object that exists; 2, no deletion before a proven copy. */
export interface Violation {
  readonly promise: 1 | 2;
  readonly what: string;
  readonly key: string;
  readonly column?: string | undefined;
  /** The row's primary key; empty where the table has none. */
  readonly row?: readonly string[] | undefined;
}

const LISTED = 1000;

export class Violations {
  readonly listed: Violation[] = [];
  count = 0;

  add(violation: Violation): void {
    this.count++;
    if (this.listed.length < LISTED) this.listed.push(violation);
  }
}
