/** `holdfast tools`: the tools of a config, what a model sees of them, and what one version breaks of another. */
import { Argument, type Command } from "commander";
import type { Tool } from "../tools/define-tool.ts";
import type { ToolCatalogue } from "../tools/catalogue.ts";
import { exitCodes, verb, type Context } from "./context.ts";
import { usageError } from "./failure.ts";
import { renderTable, type Column } from "./table.ts";
import { oneLine } from "./terminal.ts";

type Action = "list" | "show" | "diff";

export function toolsCommand(context: Context): Command {
  return verb("tools", {
    summary: "list and show the tools of a config, and compare versions",
    description:
      "Reads the config and needs no server. A tool is named as agents name it: refund, refund@^1, refund@1.2.0. " +
      "`diff` tells whether the second may take the place of the first: whether every argument that was valid stays so, " +
      "and every answer is one that was promised. It ends with 1 if not.",
    examples: [
      ["tools", "all versions of all tools"],
      ["tools show refund@^1", "its description and schemas, as a model is given them"],
      ["tools diff refund@1.4.0 refund@2.0.0", "what callers must change"],
    ],
  })
    .addArgument(new Argument("[action]", "what to do").choices(["list", "show", "diff"]).default("list"))
    .argument("[tools...]", "with show a tool; with diff one, and the one that is to take its place")
    .option("-c, --config <file>", "the config (default: ./holdfast.config.ts)")
    .option("--json", "print JSON")
    .action(async (action: Action, [first, second]: string[], flags: ToolsFlags) => {
      const catalogue = await loadCatalogue(flags.config);
      if (action === "list") return listTools(context, catalogue, flags);
      const usage = `holdfast tools ${action} <tool>${action === "diff" ? " <other>" : ""}`;
      const tool = catalogue.resolve(named(first, usage));
      if (action === "show") return showTool(context, tool, flags);
      return diffTools(context, [tool, catalogue.resolve(named(second, usage))], flags);
    });
}

interface ToolsFlags {
  readonly config?: string;
  readonly json?: true;
}

async function loadCatalogue(config: string | undefined): Promise<ToolCatalogue> {
  const [{ loadConfig }, { toolsOf }, { createToolCatalogue }] = await Promise.all([
    import("./load-config.ts"),
    import("../config.ts"),
    import("../tools/catalogue.ts"),
  ]);
  return createToolCatalogue(toolsOf(await loadConfig(config)));
}

function named(reference: string | undefined, usage: string): string {
  if (reference === undefined) throw usageError(`Say which tool: \`${usage}\`; \`holdfast tools\` lists them.`);
  return reference;
}

function listTools({ terminal }: Context, { tools }: ToolCatalogue, { json }: ToolsFlags): void {
  if (json) return terminal.json({ items: tools.map(toWire) });
  if (tools.length === 0) return terminal.note("The config has no tools.");
  for (const line of renderTable(tools, columns, terminal)) terminal.print(line);
}

const columns: readonly Column<Tool>[] = [
  { title: "TOOL", value: ({ name }) => name },
  { title: "VERSION", value: ({ version }) => version },
  { title: "EFFECT", value: ({ effect }) => effect },
  { title: "DESCRIPTION", value: ({ description }) => oneLine(description), shrinks: true },
];

function showTool({ terminal }: Context, tool: Tool, { json }: ToolsFlags): void {
  if (json) return terminal.json(toWire(tool));
  const { name, version, effect, description, timeoutMs, input, output } = tool;
  terminal.print(terminal.paint("bold", `${name}@${version}`));
  terminal.print(description);
  terminal.print("");
  terminal.print(`effect   ${effect}`);
  terminal.print(`timeout  ${timeoutMs} ms`);
  for (const [title, schema] of [
    ["input", input],
    ["output", output],
  ] as const) {
    terminal.print("");
    terminal.print(terminal.paint("dim", title));
    terminal.print(schema === null ? "anything" : JSON.stringify(schema.jsonSchema, null, 2));
  }
}

async function diffTools(context: Context, [before, after]: [Tool, Tool], { json }: ToolsFlags): Promise<void> {
  const { findBreaks } = await import("../tools/compatibility/tool-compatibility.ts");
  const { terminal } = context;
  const breaks = findBreaks(before, after);
  const [from, to] = [before, after].map(({ name, version }) => `${name}@${version}`);
  if (breaks.length > 0) context.exitCode = exitCodes.failed;
  if (json) return terminal.json({ before: from, after: to, compatible: breaks.length === 0, breaks });
  if (breaks.length === 0) return terminal.print(`${terminal.paint("green", "✓")} ${to} takes the place of ${from}.`);
  terminal.print(`${terminal.paint("red", "✗")} ${to} does not take the place of ${from}:`);
  for (const { path, message } of breaks) terminal.print(`  ${terminal.paint("bold", path)} ${message}`);
}

function toWire({ name, version, description, effect, timeoutMs, input, output }: Tool): object {
  return {
    name,
    version,
    description,
    effect,
    timeout_ms: timeoutMs,
    parameters: input.jsonSchema,
    returns: output?.jsonSchema ?? null,
  };
}
