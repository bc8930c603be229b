/** `holdfast run`: a prompt, or a conversation, at the terminal. */
import { text as readAll } from "node:stream/consumers";
import { InvalidArgumentError, Option, type Command } from "commander";
import type { TaskBody } from "../client/wire.ts";
import { createClient } from "../client/index.ts";
import { requestBounds } from "../engine/task-request.ts";
import { HoldfastError } from "../platform/errors.ts";
import { isUnreachable, serverUrl, unreachable, withUrl, type Client, type UrlFlag } from "./connect.ts";
import { exitCodes, verb, type Context } from "./context.ts";
import { usageError } from "./failure.ts";
import { findConfig } from "./find-config.ts";
import { allRoles, hostSettings, withDefault } from "./host-settings.ts";
import { createLineReader } from "./line-reader.ts";
import { parseDays } from "./quantities.ts";
import { runTask, type RunDeps } from "./run-task.ts";

export function runCommand(context: Context): Command {
  return withUrl(
    verb("run", {
      summary: "give an agent a prompt, or talk to it",
      description:
        "Submits a prompt and shows the task as it happens: the text as it comes, the tools that are called, and the " +
        "questions to you, which are answered on the spot. Without a prompt: a conversation. Without a server: runs the " +
        "config in this process for as long as it takes. Ctrl-C cancels the task. Exits with 0 if the task completed, or " +
        "was deferred, 1 if it did not complete, and 3 if it waits for an answer that nobody could give here.",
      examples: [
        ['run "Where is order A-1001?"', "one prompt"],
        ["run", "a conversation; Ctrl-D ends it"],
        ['run "And the other one?" --session s-42', "goes on with a conversation"],
        ['run "Only the blue ones" --session s-42 --while-busy inject', "tells it to the task at work there"],
        ['run "Sum up these reviews: …" --deferred', "through the provider's batch API, at half the price"],
        ["run --json < prompt.txt", "for a program: prompt in, result out"],
      ],
    }),
  )
    .argument("[prompt]", "what to ask; default: what is piped in, or a conversation")
    .option("-a, --agent <name>", "which agent, where there are several")
    .option("-s, --session <id>", "the conversation to go on with (default: a new one)")
    .addOption(
      new Option("--while-busy <mode>", "what it is to a task at work in the conversation (default: after it)").choices(
        ["queue", "inject", "interrupt"],
      ),
    )
    .option("--deferred", "let it wait for the provider's batch API: at half the price, within a day or so")
    .option(
      "--within <time>",
      "with --deferred: then call the model directly, like 90m or 6h (default: a day)",
      parseWithin,
    )
    .option("-c, --config <file>", "what to run if there is no server (default: ./holdfast.config.ts)")
    .option("--json", "print only the result, as JSON")
    .action((prompt: string | undefined, flags: RunFlags) => run(context, prompt, flags));
}

interface RunFlags extends UrlFlag {
  readonly agent?: string;
  readonly session?: string;
  readonly whileBusy?: NonNullable<TaskBody["while_busy"]>;
  readonly deferred?: true;
  /** Milliseconds. */
  readonly within?: number;
  readonly config?: string;
  readonly json?: true;
}

async function run(context: Context, argument: string | undefined, flags: RunFlags): Promise<void> {
  const { terminal } = context;
  const prompt = argument ?? (terminal.canAsk ? undefined : await readAll(terminal.input));
  if (prompt?.trim() === "") throw usageError('There is no prompt: write it as `holdfast run "…"`, or pipe it in.');
  if (prompt === undefined && flags.json) throw usageError("--json needs a prompt.");
  if (prompt === undefined && flags.whileBusy) throw usageError("--while-busy needs a prompt.");
  if (prompt === undefined && flags.deferred) throw usageError("--deferred needs a prompt.");
  if (flags.within !== undefined && !flags.deferred) throw usageError("--within goes with --deferred.");
  const server = await findServer(context, flags);
  try {
    const deps: RunDeps = {
      context,
      client: server.client,
      reader: createLineReader(terminal),
      json: flags.json === true,
      hostedHere: server.isHere,
    };
    if (prompt === undefined) await converse(deps, flags);
    else {
      const { agent, session, whileBusy } = flags;
      const body = { prompt, agent, session_id: session, while_busy: whileBusy, deferred: deferralOf(flags) };
      const outcome = await runTask(deps, body);
      context.exitCode = outcome.exitCode;
    }
  } finally {
    await server.close();
  }
}

function deferralOf({ deferred, within }: RunFlags): TaskBody["deferred"] {
  return within === undefined ? deferred : { within_ms: within };
}

async function converse(deps: RunDeps, { agent, session }: RunFlags): Promise<void> {
  const { context } = deps;
  const { terminal, command } = context;
  terminal.note(terminal.paintNote("dim", "Ctrl-D ends the conversation, Ctrl-C cancels what the agent is doing."));
  for (let sessionId = session; ;) {
    const line = await deps.reader.next(`\n${terminal.paint(["bold", "cyan"], "you ›")} `);
    if (line.type !== "text") break;
    if (line.text.trim() === "") continue;
    const outcome = await runTask(deps, { prompt: line.text, agent, session_id: sessionId });
    ({ sessionId } = outcome);
    // The tasks of a conversation run in order: what is asked next would wait behind the question.
    if (outcome.exitCode === exitCodes.needsAnswer) {
      context.exitCode = exitCodes.needsAnswer;
      return terminal.note(terminal.paintNote("dim", `Then go on with: ${command} run --session ${sessionId}`));
    }
  }
}

interface Server {
  readonly client: Client;
  readonly isHere: boolean;
  close(): Promise<void>;
}

/** The running server, or one in this process if there is none and a config to run. */
async function findServer(context: Context, flags: RunFlags): Promise<Server> {
  const url = serverUrl(context, flags);
  const client = createClient({ baseUrl: url });
  try {
    await client.agents();
    return { client, isHere: false, close: () => Promise.resolve() };
  } catch (error) {
    if (!isUnreachable(error)) throw error;
    const isNamed = (flags.url ?? context.environment["HOLDFAST_URL"] ?? "") !== "";
    if (isNamed || (flags.config === undefined && findConfig(undefined) === undefined))
      throw unreachable(url, context, error);
  }
  return hostHere(context, { ...flags, url });
}

async function hostHere(context: Context, { config, url }: RunFlags & { url: string }): Promise<Server> {
  const { terminal, environment } = context;
  const quiet = withDefault(environment, "HOLDFAST_LOG_LEVEL", "warn");
  const settings = hostSettings(quiet, { port: 0, host: "127.0.0.1" }, "text");
  const [{ startHost }, { loadConfig }] = await Promise.all([import("./host.ts"), import("./load-config.ts")]);
  const loaded = await loadConfig(config);
  const onProgress = (message: string): void => terminal.note(terminal.paintNote("dim", `${message} …`));
  const host = await startHost(loaded, { settings, roles: allRoles, onProgress }).catch((error: unknown) => {
    throw error instanceof HoldfastError && error.code === "data_directory_locked"
      ? servedElsewhere(error, url)
      : error;
  });
  return { client: createClient({ baseUrl: host.url ?? "" }), isHere: true, close: () => host.stop() };
}

/** Whoever has the data of this folder open is most likely the server that was looked for in the wrong place. */
function servedElsewhere(cause: HoldfastError, url: string): HoldfastError {
  const message =
    `There is no server at ${url}, and another process has this project's data open. If that is one, name it with --url; ` +
    `if it is only starting, try again in a moment. ${cause.message}`;
  return new HoldfastError(cause.code, message, { cause });
}

const longestDays = requestBounds.deferredWithinMs.most / 86_400_000;

function parseWithin(text: string): number {
  const days = parseDays(text);
  if (days !== undefined && days > 0 && days <= longestDays) return Math.max(1, Math.round(days * 86_400_000));
  throw new InvalidArgumentError(`It must be a time like 90m, 6h or 2d, and at most ${longestDays}d.`);
}
