/** What has to be undone even if the run is broken off: servers and processes that would live on, and their files. */

const undo = new Set<() => void>();
let listening = false;

/** Has something done, without waiting, when this process ends before the function that is returned was called. */
export function atExit(action: () => void): () => void {
  if (!listening) listen();
  undo.add(action);
  return () => void undo.delete(action);
}

function listen(): void {
  listening = true;
  process.once("exit", () => {
    for (const action of undo) action();
  });
  process.once("SIGINT", () => process.exit(130));
  process.once("SIGTERM", () => process.exit(143));
}
