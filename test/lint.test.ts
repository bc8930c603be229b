/** The linter's settings, put to the test: a rule that stops to bite does so in silence. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { repositoryRoot } from "./support/source-files.ts";

interface Offence {
  readonly rule: string;
  readonly path: string;
  readonly source: string;
}

const fill = (lines: number): string => "  run();\n".repeat(lines);

const offences: readonly Offence[] = [
  {
    rule: "max-lines",
    path: "src/engine/long-file.ts",
    source: "export {};\n".repeat(401),
  },
  {
    rule: "max-lines-per-function",
    path: "src/engine/f.ts",
    source: `export function f(run: () => void): void {\n${fill(69)}}\n`,
  },
  {
    rule: "max-lines-per-function",
    path: "src/engine/g.ts",
    source: `export const g = (run: () => void): void => {\n${fill(69)}};\n`,
  },
  {
    rule: "max-lines-per-function",
    path: "src/engine/c.ts",
    source: `export class C {\n m(run: () => void): void {\n${fill(69)}}\n}\n`,
  },
  {
    rule: "max-params",
    path: "src/engine/p.ts",
    source: "export const p = (a: 1, b: 2, c: 3, d: 4) => [a, b, c, d];\n",
  },
  { rule: "import(no-default-export)", path: "src/engine/d.ts", source: "export default 1;\n" },
  {
    rule: "import(no-cycle)",
    path: "src/engine/y.ts",
    source: 'import type { Z } from "./z.ts";\nexport interface Y {\n  z?: Z;\n}\n',
  },
  {
    rule: "import(no-cycle)",
    path: "src/engine/z.ts",
    source: 'import type { Y } from "./y.ts";\nexport interface Z {\n  y?: Y;\n}\n',
  },
  {
    rule: "typescript(no-explicit-any)",
    path: "src/engine/any.ts",
    source: "export const any = (a: any) => a as 1;\n",
  },
  {
    rule: "typescript(no-namespace)",
    path: "src/engine/n.ts",
    source: "export namespace N {\n  export const a = 1;\n}\n",
  },
  {
    rule: "typescript(no-floating-promises)",
    path: "src/engine/a1.ts",
    source: "export function a(run: () => Promise<void>): void {\n  run();\n}\n",
  },
  {
    rule: "typescript(no-floating-promises)",
    path: "src/engine/a2.ts",
    source: "export function a(run: () => Promise<void>): void {\n  void run();\n}\n",
  },
  {
    rule: "typescript(switch-exhaustiveness-check)",
    path: "src/engine/s.ts",
    source: 'export function s(a: "x" | "y"): void {\n  switch (a) {\n    case "x":\n  }\n}\n',
  },
  { rule: "no-console", path: "src/engine/l.ts", source: 'console.log("x");\n' },
  { rule: "no-unused-vars", path: "src/engine/u.ts", source: "const unused = 1;\nexport const used = 2;\n" },
  { rule: "no-restricted-globals", path: "src/engine/t1.ts", source: "setTimeout(() => {}, 1);\n" },
  { rule: "no-restricted-globals", path: "src/engine/t2.ts", source: "globalThis.setInterval(() => {}, 1);\n" },
  { rule: "no-restricted-globals", path: "src/cli/t3.ts", source: "export const t = performance.now();\n" },
  { rule: "no-restricted-properties", path: "src/tools/p1.ts", source: "export const t = Date.now();\n" },
  { rule: "no-restricted-properties", path: "src/tools/p2.ts", source: "export const t = Math.random();\n" },
  { rule: "no-restricted-properties", path: "src/tools/p3.ts", source: 'export const t = process.env["X"];\n' },
  {
    rule: "no-restricted-properties",
    path: "src/tools/p4.ts",
    source: "const { env } = process;\nexport const t = env;\n",
  },
  { rule: "no-restricted-properties", path: "src/tools/p5.ts", source: "export const t = crypto.randomUUID();\n" },
  { rule: "no-restricted-properties", path: "src/tools/p6.ts", source: "export const t = AbortSignal.timeout(1);\n" },
  ...wrongImports({
    agent: ["node:fs", "zod", "../store/x.ts", "../platform/clock.ts"],
    platform: ["../agent/x.ts"],
    store: ["../gateway/x.ts", "../engine/x.ts"],
    telemetry: ["../store/x.ts"],
    events: ["../engine/x.ts"],
    gateway: ["../tools/x.ts", "../engine/x.ts", "../memory/x.ts", "../../server/http/x.ts", "../cli/x.ts"],
    tools: ["../gateway/x.ts", "../engine/x.ts"],
    memory: ["../gateway/x.ts"],
    governance: ["../tools/x.ts"],
    engine: ["../server/http/x.ts", "../cli/x.ts", "../testing/x.ts", "../orchestrator/x.ts", "../index.ts"],
    orchestrator: ["../server/http/x.ts"],
    server: ["../cli/x.ts", "../client/index.ts"],
    client: ["../engine/x.ts"],
    testing: ["../engine/x.ts"],
    cli: ["../testing/index.ts"],
  }),
];

/** What looks alike and is allowed. */
const innocents: readonly Omit<Offence, "rule">[] = [
  { path: "src/agent/right.ts", source: 'export * from "../platform/errors.ts";\nexport * from "./other.ts";\n' },
  { path: "src/engine/right.ts", source: 'export * from "../gateway/x.ts";\nexport * from "../store/x.ts";\n' },
  {
    path: "src/server/http/right.ts",
    source: 'export * from "../../client/wire.ts";\nexport * from "../../engine/x.ts";\n',
  },
  { path: "src/platform/right.ts", source: "export const now = (): number => Date.now();\n" },
  { path: "src/cli/right.ts", source: 'console.log("x");\n' },
  {
    path: "src/cli/right.test.ts",
    source: 'import { test } from "node:test";\ntest("a test is not awaited", async () => {});\n',
  },
  { path: "examples/holdfast.config.ts", source: "export default {};\n" },
];

const project = mkdtempSync(join(tmpdir(), "holdfast-lint-"));
after(() => rmSync(project, { recursive: true }));

test("each rule finds what it is there for, and nothing else is found", () => {
  for (const name of [".oxlintrc.json", "tsconfig.json"]) cpSync(join(repositoryRoot, name), join(project, name));
  symlinkSync(join(repositoryRoot, "node_modules"), join(project, "node_modules"));
  for (const { path, source } of [...offences, ...innocents]) {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    writeFileSync(join(project, path), source);
  }
  const found = lint();
  const expected = offences.map(({ rule, path }) => `${path} ${rule}`);
  assert.deepEqual(found.lines.toSorted(), expected.toSorted());
  assert.notEqual(found.status, 0);
});

function lint(): { lines: string[]; status: number | null } {
  const oxlint = join(repositoryRoot, "node_modules/oxlint/bin/oxlint");
  const run = spawnSync(process.execPath, [oxlint, "--type-aware", "--format=json"], {
    cwd: project,
    encoding: "utf8",
  });
  const { diagnostics } = JSON.parse(run.stdout) as { diagnostics: { code: string; filename: string }[] };
  const lines = diagnostics.map(({ code, filename }) => `${filename} ${code.replace(/^eslint\((.*)\)$/, "$1")}`);
  return { lines: [...new Set(lines)], status: run.status };
}

function wrongImports(byRoom: Readonly<Record<string, readonly string[]>>): Offence[] {
  return Object.entries(byRoom).flatMap(([room, specifiers]) =>
    specifiers.map((specifier, index) => ({
      rule: "no-restricted-imports",
      path: `src/${room}/wrong-${index}.ts`,
      source: `export type { X } from "${specifier}";\n`,
    })),
  );
}
