/** What has to be undone even if the run is broken off: servers and processes that would live on, and their files. */
import { existsSync, rmSync } from "node:fs";

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

/** Removes the folder of a server that is ending now, and may still be writing to it. */
export function removeWhileEnding(directory: string): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let attempt = 0; attempt < 50 && existsSync(directory); attempt++) {
    try {
      rmSync(directory, { recursive: true, force: true });
    } catch {
      // Something was written meanwhile.
    }
    // What was written meanwhile may be there although there was no error.
    if (existsSync(directory)) Atomics.wait(pause, 0, 0, 50);
  }
}
