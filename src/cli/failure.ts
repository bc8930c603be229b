/** What went wrong, as one line that says what to do, and the exit code that goes with it. */
import { CommanderError } from "commander";
import { HoldfastError, messageOf, UnavailableError } from "../platform/errors.ts";
import { exitCodes } from "./context.ts";
import { printable, type Terminal } from "./terminal.ts";

const usageCode = "invalid_usage";

/** The command was called in a way that makes no sense. */
export function usageError(message: string): HoldfastError {
  return new HoldfastError(usageCode, message);
}

/** @returns the exit code */
export function reportFailure(error: unknown, terminal: Terminal, { verbose }: { verbose: boolean }): number {
  // Commander has said it already; help and version come as errors, too.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
  terminal.note(failureLine(error, terminal));
  if (verbose) for (const line of causes(error)) terminal.note(terminal.paintNote("dim", printable(line)));
  return error instanceof HoldfastError && error.code === usageCode ? exitCodes.usage : exitCodes.failed;
}

function failureLine(error: unknown, { paintNote }: Terminal): string {
  const label = paintNote(["red", "bold"], "error:");
  if (!(error instanceof HoldfastError)) {
    const advice = "This is a defect of holdfast or of what it was given; --verbose shows where it happened.";
    return `${label} ${printable(messageOf(error))} ${paintNote("dim", `(${advice})`)}`;
  }
  const { code, path, message } = error;
  const place = path === undefined || message.includes(path) ? "" : ` at ${path}`;
  return `${label} ${printable(message)} ${paintNote("dim", `(${code}${place}${comeBack(error)})`)}`;
}

/** When a service that is too busy said to come again. */
function comeBack(error: HoldfastError): string {
  if (!(error instanceof UnavailableError) || typeof error.retry !== "object") return "";
  return `; try again in ${Math.max(1, Math.ceil(error.retry.afterMs / 1_000))} s`;
}

function causes(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const stack = error.stack ?? error.message;
  return error.cause === undefined ? [stack] : [stack, "caused by:", ...causes(error.cause)];
}
