/** `holdfast init`: a new project that works as it is. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { HoldfastError, messageOf } from "../platform/errors.ts";
import { verb, type Context } from "./context.ts";

export function initCommand(context: Context): Command {
  return verb("init", {
    summary: "make a new project",
    description:
      "Writes a small project: an agent with two tools, one of which asks before it acts, a test that needs no model, " +
      "and a README. The folder is made; if it exists it must be empty.",
    examples: [
      ["init my-agent", "in a new folder"],
      ["init", "in this one"],
    ],
  })
    .argument("[folder]", "the folder of the project", ".")
    .option("--json", "print the files it wrote as JSON")
    .action((folder: string, flags: { json?: true }) => init(context, folder, flags));
}

/** Beside this module, in the sources and in the published package: files of the project, each with `.template` behind its name. */
const templateFolder = join(import.meta.dirname, "init/template");
const templateSuffix = ".template";

function init({ terminal, version }: Context, folder: string, { json }: { json?: true }): void {
  const target = resolve(folder);
  requireEmpty(target);
  const values = { name: projectName(target), holdfast: version, ...versions() };
  const files = readdirSync(templateFolder, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(templateSuffix))
    .map((path) => writeFile(target, path, values))
    .toSorted();
  if (json) return terminal.json({ folder: target, files });
  const { paint } = terminal;
  terminal.print(`${paint("green", "✓")} ${paint("bold", values.name)} is in ${target}`);
  for (const file of files) terminal.print(paint("dim", `    ${file}`));
  const enter = relative(process.cwd(), target);
  const steps = [...(enter === "" ? [] : [`cd ${enter}`]), "npm install", "npm start"];
  terminal.print(`\nNext:\n${steps.map((step) => `    ${paint("bold", step)}`).join("\n")}`);
  terminal.print(`\nand in another terminal:\n    ${paint("bold", 'npx holdfast run "Where is order A-1001?"')}`);
}

/** Hidden files of editors and version control do not make a folder a project. */
function requireEmpty(target: string): void {
  if (!existsSync(target)) return;
  if (!statSync(target).isDirectory()) throw refusal(target, "is a file");
  const found = readdirSync(target).filter((name) => name !== ".git" && name !== ".DS_Store");
  if (found.length > 0) throw refusal(target, `is not empty (it holds ${found.slice(0, 3).join(", ")})`);
}

function refusal(target: string, what: string): HoldfastError {
  return new HoldfastError(
    "folder_not_empty",
    `${target} ${what}. Name a new folder, as in \`holdfast init my-agent\`.`,
  );
}

/** @returns the path of what was written, from `target` */
function writeFile(target: string, templatePath: string, values: Readonly<Record<string, string>>): string {
  const template = readFileSync(join(templateFolder, templatePath), "utf8");
  const text = template.replace(/\{\{([\w@/-]+)\}\}/g, (_match, name: string) => values[name] ?? "");
  const path = projectPath(templatePath);
  try {
    mkdirSync(join(target, dirname(path)), { recursive: true });
    writeFileSync(join(target, path), text, { flag: "wx" });
  } catch (error) {
    throw new HoldfastError("folder_unusable", `${join(target, path)} cannot be written: ${messageOf(error)}.`, {
      cause: error,
    });
  }
  return path;
}

/** npm leaves files named .gitignore out of what it publishes, so the template is named without the dot. */
function projectPath(templatePath: string): string {
  const path = templatePath.slice(0, -templateSuffix.length);
  return basename(path) === "gitignore" ? join(dirname(path), ".gitignore") : path;
}

/** What this version was built and tested with. */
function versions(): Readonly<Record<string, string>> {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  return { ...manifest.dependencies, ...manifest.devDependencies };
}

function projectName(target: string): string {
  const name = basename(target)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+|[._-]+$/g, "");
  return name === "" ? "my-agent" : name;
}
