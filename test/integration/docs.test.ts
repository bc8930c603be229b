/**
 * The documentation, executed. Shell blocks run in their order against the example, TypeScript blocks are type-checked and
 * those that are tests are run, links lead somewhere, and the pages that list things list all of them.
 *
 * A block that is not executed says why in its first line, as in "```sh no-run: it takes minutes".
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";
import type { OpenApi } from "../support/documented-answers.ts";
import { cleanEnvironment, linkPackages } from "../support/command.ts";
import { anchorsOf, firstColumnCodes, linksOf, pageAt, pages, type Page } from "../support/documentation.ts";
import { thrownCodes } from "../support/error-codes.ts";
import { openExampleShell, type ExampleShell } from "../support/example-shell.ts";
import { repositoryRoot } from "../support/source-files.ts";

const folder = mkdtempSync(join(tmpdir(), "holdfast-docs-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const isDocumentation = ({ path }: Page): boolean => path.startsWith("docs/") && !path.startsWith("docs/decisions/");

describe("Every page", () => {
  test("says in its first line which question it answers", () => {
    const silent = pages.filter(
      (page) => isDocumentation(page) && !/^# .+\n\nThis page answers: .+\?\n/.test(page.text),
    );
    assert.deepEqual(pathsOf(silent), []);
  });

  test("links to what there is, down to the heading", () => {
    const broken = pages.flatMap((page) =>
      linksOf(page)
        .filter(({ path, anchor }) => !leadsSomewhere(path, anchor))
        .map(({ path, anchor }) => `${page.path} → ${path}#${anchor}`),
    );
    assert.deepEqual(broken, []);
  });

  test("is listed in the table of contents", () => {
    const listed = linksOf(pageAt("docs/README.md")).map(({ path }) => path);
    const lost = pages.filter(
      (page) => isDocumentation(page) && page.path !== "docs/README.md" && !listed.includes(page.path),
    );
    assert.deepEqual(pathsOf(lost), []);
  });

  test("says of each block of code that is not executed why not", () => {
    const mute = pages.flatMap(({ path, blocks }) =>
      blocks
        .filter(
          ({ language, note }) =>
            ["sh", "ts"].includes(language) && !/^(no-(run|check): \S.*|file=[\w.-]+)?$/.test(note),
        )
        .map(({ line, note }) => `${path}:${line} ${note}`),
    );
    assert.deepEqual(mute, []);
  });
});

function pathsOf(found: readonly Page[]): string[] {
  return found.map(({ path }) => path);
}

function leadsSomewhere(path: string, anchor: string): boolean {
  const target = join(repositoryRoot, path);
  return existsSync(target) && (anchor === "" || anchorsOf(readFileSync(target, "utf8")).includes(anchor));
}

describe("What is to be typed", () => {
  const withShell = pages.filter((page) => shellBlocks(page).length > 0 && page.path !== "CONTRIBUTING.md");
  assert.ok(withShell.length > 5);
  // The README and the first page each begin with nothing.
  for (const visit of [["README.md"], withShell.map(({ path }) => path).filter((path) => path !== "README.md")]) {
    test(`works as it stands: ${visit.join(", ")}`, { timeout: 120_000 }, async (t) => {
      const place = mkdtempSync(join(folder, "shell-"));
      const shell = await openExampleShell(place);
      try {
        for (const path of visit) await t.test(path, (context) => typeIn(pageAt(path), { shell, t: context }));
        if (visit.includes("docs/start.md")) assert.ok(existsSync(join(place, "my-agent/holdfast.config.ts")));
        if (visit.includes("docs/reference/http.md")) await checkPaths(shell.url());
      } finally {
        await shell.close();
      }
    });
  }
});

function shellBlocks({ blocks }: Page) {
  return blocks.filter(({ language, note }) => language === "sh" && note === "");
}

async function typeIn(page: Page, { shell, t }: { shell: ExampleShell; t: TestContext }): Promise<void> {
  let printed = "";
  for (const { line, code } of shellBlocks(page)) {
    await t.test(`line ${line}`, async () => {
      printed += await shell.run(code);
    });
  }
  for (const told of whatIsTold[page.path] ?? []) assert.ok(told.test(printed), `It does not print ${told}.`);
}

/** What the text of a page says that its commands print. */
const whatIsTold: Readonly<Record<string, readonly RegExp[]>> = {
  "README.md": [/"status":"waiting"/, /"decision":"approve"/, /✓ refund/],
  "docs/start.md": [
    /"status":"waiting"/,
    /asks a human[^]*answered by operator: approved[^]*begins refund[^]*✓ refund[^]*completed/,
  ],
  "docs/guides/approvals.md": [/"answered_by":"ana"/],
  "docs/guides/stream.md": [/\nevent: result\n/],
  "docs/reference/http.md": [/"status":"ready"/, /"error":"model_auth"/],
};

async function checkPaths(url: string): Promise<void> {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi;
  const { text } = pageAt("docs/reference/http.md");
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.deepEqual(
    operations.filter((operation) => !text.includes(`\`${operation}\``)),
    [],
  );
  const described = [...text.matchAll(/`((?:GET|POST|DELETE|PUT) \/[^`]*)`/g)].map(([, operation = ""]) => operation);
  assert.deepEqual(
    described.filter((operation) => !operations.includes(operation)),
    [],
  );
}

/** What the examples leave to the reader. */
const elided = `
declare function pay(orderId: string, amountUsd: number, idempotencyKey: string): Promise<string>;
declare function isTimeout(error: unknown): boolean;
`;

/** What examples import that are about something else. */
const anyConfig = `
import { defineAgent, defineConfig } from "holdfast";
export default defineConfig({ agents: [defineAgent({ name: "support", instructions: "Help." })] });
`;

const compilerOptions = {
  target: "es2024",
  module: "nodenext",
  lib: ["es2024", "esnext.disposable", "dom"],
  types: ["node"],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  erasableSyntaxOnly: true,
  verbatimModuleSyntax: true,
  allowImportingTsExtensions: true,
  skipLibCheck: true,
  noEmit: true,
  customConditions: ["holdfast-source"],
};

describe("What is to be written", () => {
  const project = join(folder, "written");
  const testFiles: string[] = [];
  mkdirSync(project);
  linkPackages(project, "bullmq", "ioredis", "openai");
  for (const [index, { path, blocks }] of pages.entries()) {
    const snippets = blocks.filter(({ language, note }) => language === "ts" && !note.startsWith("no-check"));
    if (snippets.length === 0) continue;
    const directory = join(project, `${index}-${path.replaceAll(/\W+/g, "-")}`);
    mkdirSync(directory);
    writeFileSync(join(directory, "holdfast.config.ts"), anyConfig);
    for (const { note, line, code } of snippets) {
      const file = join(directory, note === "" ? `line-${line}.ts` : note.replace("file=", ""));
      writeFileSync(file, code);
      if (file.endsWith(".test.ts")) testFiles.push(file);
    }
  }
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
  writeFileSync(join(project, "elided.d.ts"), elided);
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["."] }));

  test("compiles", async () => {
    await node([join(repositoryRoot, "node_modules/typescript/bin/tsc"), "--project", project]);
  });

  test("passes, where it is a test", async () => {
    assert.ok(testFiles.length >= 3);
    await node([...process.execArgv, "--test", "--test-isolation=none", ...testFiles]);
  });
});

function node(args: readonly string[]): Promise<void> {
  const options = { env: cleanEnvironment(), timeout: 60_000 };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`${stdout}${stderr}`, { cause: error }));
    });
  });
}

describe("A page that lists", () => {
  test("error codes has every code that the sources throw, and no other", () => {
    assert.deepEqual(listedIn("docs/reference/errors.md"), [...thrownCodes()].toSorted());
  });

  test("metrics has every metric that there is, and no other", () => {
    const source = readFileSync(join(repositoryRoot, "src/telemetry/metrics.ts"), "utf8");
    const names = [...source.matchAll(/\.create\w+\(\s*"([\w.]+)"/g)].map(([, name = ""]) => name);
    assert.ok(names.length > 5);
    const listed = listedIn("docs/operations/metrics.md").filter((name) => /^[a-z_]+\.[a-z_.]+$/.test(name));
    assert.deepEqual(listed, names.toSorted());
  });

  test("every query for a metric has the name that it is scraped by", () => {
    const source = readFileSync(join(repositoryRoot, "src/telemetry/metrics.ts"), "utf8");
    const suffixesOf: Record<string, string[]> = { Counter: ["_total"], Histogram: ["_bucket", "_count", "_sum"] };
    const scraped = [...source.matchAll(/\.create(\w+)\(\s*"([\w.]+)"/g)].flatMap(([, kind = "", name = ""]) =>
      (suffixesOf[kind] ?? [""]).map((suffix) => `${name.replaceAll(".", "_")}${suffix}`),
    );
    const queried = pages.flatMap(({ text }) => text.match(/\bholdfast_[a-z_]*[a-z]/g) ?? []);
    assert.ok(queried.length > 5);
    const unknown = queried.filter((name) => !scraped.includes(name));
    assert.deepEqual(unknown, []);
  });

  test("variables has every variable of the settings, and no other", () => {
    const source = readFileSync(join(repositoryRoot, "src/platform/settings.ts"), "utf8");
    const plain = [...source.matchAll(/read\("([A-Z_]+)"\)/g)].map(([, name = ""]) => name);
    const endpoints = [...source.matchAll(/endpoint\("([A-Z_]+)"\)/g)].flatMap(([, name]) => [
      `${name}_API_KEY`,
      `${name}_BASE_URL`,
    ]);
    const listed = listedIn("docs/reference/configuration.md").filter((name) => /^[A-Z_]+$/.test(name));
    assert.deepEqual(listed, [...plain, ...endpoints].toSorted());
  });

  test("entries has every kind of entry with all its fields, and no other", () => {
    const { text } = pageAt("docs/reference/journal.md");
    const source = readFileSync(join(repositoryRoot, "src/client/wire/journal.ts"), "utf8");
    const kinds = [
      ...source.matchAll(/\| \{ kind: "(\w+)"(.*)\}/g),
      ...source.matchAll(/^ {2}kind: "(\w+)"([^]*?)^\}/gm),
    ];
    assert.ok(kinds.length >= 8);
    for (const [, kind = "", rest = ""] of kinds) {
      const section = new RegExp(`^## ${kind}\n([\\s\\S]*?)(?=^## )`, "m").exec(text)?.[1] ?? "";
      const fields = [...rest.matchAll(/;\s*(\w+)\??:/g)].map(([, field = ""]) => field);
      assert.deepEqual(
        fields.filter((field) => !section.includes(field)),
        [],
        kind,
      );
    }
    const described = [...text.matchAll(/^## ([a-z]+)$/gm)].map(([, kind = ""]) => kind);
    assert.deepEqual(described.toSorted(), kinds.map(([, kind = ""]) => kind).toSorted());
  });
});

function listedIn(path: string): string[] {
  return [...new Set(firstColumnCodes(pageAt(path).text))].toSorted();
}
