/** Named points in running code at which a test can end the process; they do nothing otherwise. */

/** Called when the code passes the point `name`. */
export type Failpoint = (name: string) => void;

export const noFailpoint: Failpoint = () => undefined;

/**
 * A failpoint that kills the process, as SIGKILL does, the n-th time a point is passed.
 * @param spec `name:n`; undefined gives one that does nothing
 */
export function killingFailpoint(spec: string | undefined): Failpoint {
  if (spec === undefined || spec === '') return noFailpoint;
  const at = spec.lastIndexOf(':');
  const point = spec.slice(0, at);
  let left = Number(spec.slice(at + 1));
  return (name) => {
    if (name === point && --left === 0) process.kill(process.pid, 'SIGKILL');
  };
}
