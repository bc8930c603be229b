/** Loading holdfast.config.ts: whatever is wrong with it is said with the file's name and, if known, the line. */
import { statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { isObject } from "../agent/json.ts";
import { defineConfig, type HoldfastConfig } from "../config.ts";
import { HoldfastError, messageOf } from "../platform/errors.ts";
import { defaultNames, findConfig } from "./find-config.ts";

/** @throws HoldfastError `config_not_found`, `config_failed`, `config_invalid`; InvalidInputError `invalid_config` */
export async function loadConfig(named: string | undefined): Promise<HoldfastConfig> {
  const path = findConfig(named);
  if (path === undefined || !statSync(path, { throwIfNoEntry: false })?.isFile()) throw notFound(named);
  const shown = relative(process.cwd(), path) || path;
  const loaded = await importConfig(path, shown);
  if (!looksLikeConfig(loaded)) {
    const message = `${shown} must end with \`export default defineConfig({ agents: [defineAgent({ … })], tools: [ … ] })\``;
    throw new HoldfastError("config_invalid", `${message}, but ${whatItIs(loaded)}.`);
  }
  return defineConfig(loaded);
}

function notFound(named: string | undefined): HoldfastError {
  const message =
    named === undefined
      ? `There is no ${defaultNames[0]} in ${process.cwd()}. Go to your project's folder, name a file with --config, ` +
        "or make a new project with `holdfast init my-agent`."
      : `There is no file ${resolve(named)}. Check the path after --config.`;
  return new HoldfastError("config_not_found", message);
}

async function importConfig(path: string, shown: string): Promise<unknown> {
  try {
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    const place = error instanceof Error ? placeOf(error) : undefined;
    const message = `${shown} could not be loaded: ${messageOf(error)}${place === undefined ? "" : ` (${place})`}`;
    throw new HoldfastError("config_failed", message, { cause: error });
  }
}

/** A file and a line, as in stacks. */
const places = /(?:(file:\/\/[^\s():]+)|(?<=^|[\s(])(\/[^\s():]+)):(\d+)/g;

/** The first place of an error that is the user's own, as "file:line". */
function placeOf(error: Error): string | undefined {
  // Where a syntax error is stands only in what Node shows of it, not in its stack.
  for (const [, url = "", path = "", line = ""] of inspect(error).matchAll(places)) {
    const file = url === "" ? path : fileURLToPath(url);
    const shown = relative(process.cwd(), file);
    if (!file.includes("node_modules") && !file.startsWith(ownFolder)) return `${shown}:${line}`;
  }
  return undefined;
}

const ownFolder = resolve(import.meta.dirname, "..");

function looksLikeConfig(loaded: unknown): loaded is HoldfastConfig {
  if (typeof loaded !== "object" || loaded === null || !("agents" in loaded)) return false;
  const { agents, tools = [] } = loaded as { agents: unknown; tools?: unknown };
  return Array.isArray(agents) && agents.every(looksLikeAgent) && Array.isArray(tools) && tools.every(looksLikeTool);
}

function looksLikeAgent(agent: unknown): boolean {
  if (!isObject(agent)) return false;
  return [agent["limits"], agent["queue"]].every(isObject) && Array.isArray(agent["tools"]);
}

function looksLikeTool(tool: unknown): boolean {
  return isObject(tool) && typeof tool["run"] === "function" && typeof tool["needsApproval"] === "function";
}

function whatItIs(loaded: unknown): string {
  if (loaded === undefined) return "it has no default export";
  if (!isObject(loaded)) return `its default export is ${loaded === null ? "null" : `a ${typeof loaded}`}`;
  const { agents, tools = [] } = loaded as { agents?: unknown; tools?: unknown };
  if (!Array.isArray(agents)) return "its default export has no list `agents`";
  const agent = agents.findIndex((each) => !looksLikeAgent(each));
  if (agent >= 0) return `agents[${agent}] was not made with defineAgent`;
  if (!Array.isArray(tools)) return "its `tools` is no list";
  return `tools[${tools.findIndex((each) => !looksLikeTool(each))}] was not made with defineTool`;
}
