/** The tools of one process by name and version, and what a reference such as "refund@^1" means among them. */
import semver from "semver";
import { InvalidInputError } from "../platform/errors.ts";
import { findBreaks, mustKeepPromises } from "./compatibility/tool-compatibility.ts";
import type { Tool } from "./define-tool.ts";

export interface ToolCatalogue {
  readonly tools: readonly Tool[];
  /**
   * The highest version a reference, `name` or `name@range`, allows. A pre-release is taken only if the range
   * names one, or if a bare name has nothing else.
   * @throws InvalidInputError `unknown_tool`, `invalid_tool_reference`
   */
  resolve(reference: string): Tool;
  /** The tool of that very version, or the highest one that is compatible with it (`^version`). */
  find(name: string, version: string): Tool | undefined;
}

/** @throws InvalidInputError `duplicate_tool`, `incompatible_tool_version` */
export function createToolCatalogue(tools: readonly Tool[]): ToolCatalogue {
  const byName = new Map<string, Map<string, Tool>>();
  tools.forEach((tool, index) => {
    const versions = byName.get(tool.name) ?? new Map<string, Tool>();
    if (versions.has(tool.version)) {
      throw new InvalidInputError(
        "duplicate_tool",
        `The tool ${tool.name}@${tool.version} is defined twice; give one of them another version.`,
        `/tools/${index}`,
      );
    }
    byName.set(tool.name, versions.set(tool.version, tool));
  });
  for (const versions of byName.values()) refuseBreaks(versions, tools);
  const resolved = new Map<string, Tool>();
  return { tools: [...tools], resolve, find };

  function resolve(reference: string): Tool {
    const known = resolved.get(reference);
    if (known !== undefined) return known;
    const [name, range] = splitReference(reference);
    const tool = highest(name, range);
    if (tool === undefined) throw unknownTool(reference, name);
    resolved.set(reference, tool);
    return tool;
  }

  function find(name: string, version: string): Tool | undefined {
    return byName.get(name)?.get(version) ?? highest(name, `^${version}`);
  }

  function highest(name: string, range: string | undefined): Tool | undefined {
    const versions = byName.get(name);
    if (versions === undefined) return undefined;
    const all = [...versions.keys()];
    const best = semver.maxSatisfying(all, range ?? "*") ?? (range === undefined ? semver.rsort(all)[0] : undefined);
    return best === undefined ? undefined : versions.get(best);
  }

  function unknownTool(reference: string, name: string): InvalidInputError {
    const versions = [...(byName.get(name)?.keys() ?? [])];
    const there =
      versions.length > 0
        ? `The versions of ${name} are: ${semver.sort(versions).join(", ")}.`
        : `The tools are: ${[...byName.keys()].sort().join(", ") || "none"}.`;
    return new InvalidInputError("unknown_tool", `There is no tool "${reference}". ${there}`);
  }
}

/** Each version against the one before it: what holds from one to the next holds from the first to the last. */
function refuseBreaks(versions: ReadonlyMap<string, Tool>, tools: readonly Tool[]): void {
  const inOrder = semver.sort([...versions.keys()]).filter((version) => semver.prerelease(version) === null);
  for (const [index, version] of inOrder.slice(1).entries()) {
    const [before, after] = [versions.get(inOrder[index]!)!, versions.get(version)!];
    const breaks = mustKeepPromises(before.version, version) ? findBreaks(before, after) : [];
    if (breaks.length === 0) continue;
    const said = breaks.slice(0, mostSaid).map(({ path, message }) => `${path} ${message}`);
    throw new InvalidInputError(
      "incompatible_tool_version",
      `Agents bound to ${before.name}@^${before.version} would be given ${version}, which breaks what they rely on: ` +
        `${said.join("; ")}${breaks.length > mostSaid ? "; and more" : ""}. Mend it, or make it ${semver.inc(version, breakingPart(version))}.`,
      `/tools/${tools.indexOf(after)}`,
    );
  }
}

const mostSaid = 5;

function breakingPart(version: string): "major" | "minor" {
  return semver.major(version) > 0 ? "major" : "minor";
}

function splitReference(reference: string): [string, string?] {
  const at = reference.indexOf("@");
  if (at === -1) return [reference];
  const range = reference.slice(at + 1);
  if (range.trim() === "" || semver.validRange(range) === null) {
    throw new InvalidInputError(
      "invalid_tool_reference",
      `"${reference}" is no reference to a tool: write "name" or "name@range", as in "refund@^1".`,
    );
  }
  return [reference.slice(0, at), range];
}
