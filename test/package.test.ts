/**
 * What a user installs: the tarball, unpacked beside nothing but its declared dependencies, run by plain Node without
 * the condition under which this repository runs its own sources.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { repositoryRoot } from "./support/source-files.ts";

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as Manifest;
const project = mkdtempSync(join(tmpdir(), "holdfast-package-"));
const installed = join(project, "node_modules/holdfast");

before(() => {
  run("npm", ["pack", "--pack-destination", project], repositoryRoot);
  mkdirSync(installed, { recursive: true });
  run("tar", ["-xzf", `holdfast-${manifest.version}.tgz`, "-C", installed, "--strip-components=1"]);
  for (const name of Object.keys(manifest.dependencies)) link(name, join(installed, "node_modules"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
});

after(() => rmSync(project, { recursive: true }));

describe("The published package", () => {
  test("holds the built modules, their types and the migrations, and neither sources nor tests", () => {
    const files = readdirSync(installed, { recursive: true, encoding: "utf8" }).filter(
      (path) => !path.startsWith("node_modules"),
    );
    for (const path of ["dist/index.js", "dist/index.d.ts", "dist/cli/main.js", "README.md", "LICENSE"]) {
      assert.ok(files.includes(path), `${path} is missing`);
    }
    assert.deepEqual(
      readdirSync(join(installed, "sql")).toSorted(),
      readdirSync(join(repositoryRoot, "sql")).toSorted(),
    );
    assert.deepEqual(
      files.filter((path) => path.startsWith("src") || /\.test\.(js|d\.ts)$|(?<!\.d)\.ts$/.test(path)),
      [],
    );
  });

  test("is imported by name, each entry point with what it promises", () => {
    const promised = {
      holdfast: ["defineAgent", "defineConfig", "defineTool", "createHoldfast"],
      "holdfast/client": [],
      "holdfast/testing": [],
    };
    for (const [entryPoint, names] of Object.entries(promised)) {
      const script = `console.log(JSON.stringify(Object.keys(await import("${entryPoint}"))))`;
      const exported = JSON.parse(node(["--input-type=module", "--eval", script])) as string[];
      assert.ok(exported.length > 0, `${entryPoint} exports nothing`);
      assert.deepEqual(
        names.filter((name) => !exported.includes(name)),
        [],
        entryPoint,
      );
    }
  });

  test("an agent and a tool are defined with it as the documentation does", () => {
    writeFileSync(join(project, "holdfast.config.js"), userConfig);
    const script = 'import config from "./holdfast.config.js"; console.log(config.agents[0].name);';
    assert.equal(node(["--input-type=module", "--eval", script]).trim(), "greeter");
  });

  test("its command starts and says how it is used", () => {
    const { bin } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { bin: { holdfast: string } };
    const command = join(installed, bin.holdfast);
    assert.match(readFileSync(command, "utf8"), /^#!\/usr\/bin\/env node\n/);
    const help = node([command, "--help"]);
    for (const verb of ["init", "dev", "serve", "run", "tasks", "approvals", "dead-letters"]) {
      assert.match(help, new RegExp(`^\\s+${verb}\\b`, "m"));
    }
    assert.equal(node([command, "--version"]).trim(), manifest.version);
  });

  test("its types resolve, and a mistake in a config is a compile error", () => {
    for (const name of ["@types/node", "zod"]) link(name, join(project, "node_modules"));
    writeFileSync(join(project, "holdfast.config.ts"), userConfig);
    const options = {
      strict: true,
      noEmit: true,
      module: "nodenext",
      target: "es2024",
      types: ["node"],
      skipLibCheck: false,
    };
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({ compilerOptions: options, files: ["holdfast.config.ts"] }),
    );
    node([join(repositoryRoot, "node_modules/typescript/bin/tsc")]);
  });
});

/** Compiles only if the types are really there: were they `any`, the expected error would be missing. */
const userConfig = `
import { defineAgent, defineConfig, defineTool } from "holdfast";
import * as client from "holdfast/client";
import * as testing from "holdfast/testing";

const greet = defineTool({
  name: "greet",
  version: "1.0.0",
  description: "Greets someone.",
  effect: "read",
  input: { type: "object", properties: { name: { type: "string" } } },
  run: () => "hello",
});

export const modules = [client, testing];
export default defineConfig({
  agents: [defineAgent({ name: "greeter", instructions: "Greet.", tools: ["greet@^1"] })],
  tools: [greet],
});

// @ts-expect-error
export const misspelled = () => defineAgent({ name: "greeter", instruction: "Greet." });
`;

/** Makes an installed package resolvable from another folder, and nothing else with it. */
function link(name: string, folder: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  symlinkSync(join(repositoryRoot, "node_modules", name), join(folder, name));
}

function node(args: readonly string[]): string {
  return run(process.execPath, args);
}

function run(command: string, args: readonly string[], cwd = project): string {
  const { NODE_OPTIONS: _ours, ...env } = process.env;
  try {
    return execFileSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command} ${args.join(" ")} failed:\n${stdout ?? ""}${stderr ?? ""}`, { cause: error });
  }
}
