#!/usr/bin/env node
// Nothing is imported before the check: an older Node would fail on the imports first, with a message that helps nobody.
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < 22 || (major === 22 && minor < 22)) {
  process.stderr.write(`error: holdfast needs Node 22.22 or newer, but this is Node ${process.versions.node}.\n`);
  process.exitCode = 1;
} else {
  const { executeCommand } = await import("./command.ts");
  const { createTerminal } = await import("./terminal.ts");
  const terminal = createTerminal(process);
  const exitCode = await executeCommand(process.argv.slice(2), terminal);
  await terminal.flush();
  // What a user's config has opened must not keep a command alive that is done.
  process.exit(exitCode);
}
