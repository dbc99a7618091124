/** Runs a server so that it ends with this process, however that went. */

/**
 * The command that runs the program under a shell that waits on a pipe of ours, file descriptor 3: when this process is
 * gone, the pipe ends and the shell stops the server. The signals INT and TERM to the shell stop it as well.
 *
 * @param signal what the program takes as the wish to end
 */
export function watched(
  program: string,
  flags: readonly string[],
  signal: 'INT' | 'TERM',
): [command: string, flags: string[]] {
  return ['/bin/sh', ['-c', WATCH.replaceAll('SIGNAL', signal), program, ...flags]];
}

const WATCH = `"$0" "$@" 3<&- & server=$!
trap 'kill -SIGNAL $server 2>/dev/null' INT TERM
{ read -r _ || true; kill -SIGNAL $server 2>/dev/null; } <&3 &
watch=$!
exec 3<&-
while kill -0 $server 2>/dev/null; do wait $server; status=$?; done
kill $watch 2>/dev/null
exit $status`;
