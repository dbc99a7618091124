/** What a clone job tells while it runs. */

export type CloneEvent =
  /** A phase begins: `copy rows`, `make indexes`, `create the stack`. */
  | { readonly type: 'phase'; readonly phase: string }
  /** Of the phase; `of` is undefined where nobody can know it. */
  | { readonly type: 'progress'; readonly bytes: number; readonly of: number | undefined }
  /** A resource of a stack, or a change set of a changelog, changed its state. */
  | {
      readonly type: 'step';
      readonly what: string;
      readonly state: string;
      readonly reason?: string | undefined;
    }
  | { readonly type: 'notice'; readonly text: string };

export type EmitClone = (event: CloneEvent) => void;
