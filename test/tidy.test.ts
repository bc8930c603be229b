/**
 * The rules of CONTRIBUTING.md that can be told from the text of the sources. The linter checks some of them too; here
 * they are written down a second time, in the open, so that a rule cannot be lost in a setting.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { basename, join, posix } from "node:path";
import { describe, test } from "node:test";
import {
  functionsOf,
  importsOf,
  pathsUnder,
  repositoryRoot,
  sourceFile,
  sourceFilesUnder,
  targetOf,
  type SourceFile,
} from "./support/source-files.ts";

const maxFileLines = 400;
const maxFunctionLines = 70;

const below = ["agent", "platform", "store", "telemetry"];
const capabilities = ["gateway", "tools", "memory", "governance"];

/** Which rooms of src/ a room may import besides itself. "." is src/ itself: the public surface and what it composes. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  agent: ["platform"],
  store: ["agent", "platform"],
  telemetry: ["agent", "platform"],
  events: [...below, "gateway"],
  gateway: below,
  tools: below,
  memory: below,
  governance: below,
  engine: [...below, ...capabilities, "events"],
  orchestrator: [...below, ...capabilities, "events", "engine"],
  evaluation: [...below, "gateway", "tools", "events", "engine"],
  // Of the client only the shapes of the API, which the server answers in; see `isAllowed`.
  server: [...below, ...capabilities, "events", "engine", "orchestrator", "client"],
  ".": [...below, ...capabilities, "events", "engine", "orchestrator", "evaluation", "server"],
  client: ["agent", "platform"],
  testing: ["agent", "platform", "gateway", "tools"],
  cli: [...below, ...capabilities, "events", "engine", "orchestrator", "evaluation", "server", "client", "."],
};

/** Libraries that only one room knows, so that they can be replaced there. */
const homeOf: Readonly<Record<string, string>> = {
  pg: "store",
  "@electric-sql/pglite": "store",
  "@ai-sdk/": "gateway",
  "@pydantic/genai-prices": "gateway",
  fastify: "server",
  "@fastify/": "server",
  commander: "cli",
  uuid: "platform",
  ioredis: "events",
  bullmq: "events",
};

const sources = sourceFilesUnder("src");
const everything = [...sources, ...sourceFilesUnder("test", "examples", "bench", "scripts")];
const product = sources.filter((file) => !file.path.endsWith(".test.ts"));

function roomOf(path: string): string {
  return /^src\/([^/]+)\//.exec(path)?.[1] ?? ".";
}

/** Fails with one line per fault, so that a run shows all of them. */
function assertNone(faults: readonly string[]): void {
  assert.equal(faults.length, 0, `\n${faults.join("\n")}`);
}

/** A fault per place where the pattern is found in the files' code. */
function findAll(files: readonly SourceFile[], pattern: RegExp): string[] {
  return files.flatMap((file) =>
    file.code
      .split("\n")
      .flatMap((line, index) => (pattern.test(line) ? [`${file.path}:${index + 1} ${line.trim()}`] : [])),
  );
}

describe("Size", () => {
  test("no file is longer than 400 lines", () => {
    const long = everything.filter((file) => lineCount(file.text) > maxFileLines);
    assertNone(long.map((file) => `${file.path} has ${lineCount(file.text)} lines`));
  });

  test("no function is longer than 70 lines; a describe is no function but a chapter", () => {
    const long = everything.flatMap((file) =>
      functionsOf(file)
        .filter((found) => found.lines > maxFunctionLines && !/^(describe|suite)\(/.test(found.head))
        .map((found) => `${file.path}:${found.line} ${found.head} has ${found.lines} lines`),
    );
    assertNone(long);
  });

  test("a function of any form is measured from its head to its closing line", () => {
    const heads = [
      "function plain(a: string): void {",
      "export async function* exported<T>(\n  a: T,\n): AsyncIterable<T> {",
      "export const arrow = (a: string): void => {",
      "const object = (a: string) => ({",
      "  method(a: string): void {",
      "  private async *#stream(): AsyncIterable<string> {",
      "  constructor(\n    a: string,\n  ) {",
      'test("a title", async () => {',
    ];
    for (const head of heads) {
      const indent = /^ */.exec(head)?.[0] ?? "";
      const body = `${indent}  if (a) {\n${indent}    run(a);\n${indent}  }`;
      const text = `${head}\n${body}\n\n${indent}}`;
      const found = functionsOf(sourceFile("a.ts", text));
      assert.deepEqual(
        found.map(({ line, lines }) => ({ line, lines })),
        [{ line: 1, lines: lineCount(text) }],
        head,
      );
    }
  });
});

describe("Layers", () => {
  test("every room of src is in the table", () => {
    assertNone([...new Set(product.map((file) => roomOf(file.path)))].filter((room) => mayImport[room] === undefined));
  });

  test("a room imports only the rooms it may", () => {
    const wrong = product.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => !isAllowed(file, specifier))
        .map((specifier) => `${file.path} imports ${specifier}`),
    );
    assertNone(wrong);
  });

  test("a library that belongs to one room is imported by no other", () => {
    const wrong = product.flatMap((file) =>
      importsOf(file).flatMap((specifier) => {
        const home = Object.entries(homeOf).find(([library]) => isOf(specifier, library))?.[1];
        return home === undefined || home === roomOf(file.path)
          ? []
          : [`${file.path} imports ${specifier}, see ${home}`];
      }),
    );
    assertNone(wrong);
  });

  test("what src imports is a dependency, and every dependency is imported", () => {
    const manifest = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    const declared = Object.keys(manifest.dependencies);
    const imported = product.flatMap((file) =>
      importsOf(file).filter((specifier) => /^(?!\.|node:|holdfast)/.test(specifier)),
    );
    assertNone([
      ...imported
        .filter((specifier) => !declared.some((name) => isOf(specifier, name)))
        .map((name) => `${name} is no dependency`),
      ...declared
        .filter((name) => !imported.some((specifier) => isOf(specifier, name)))
        .map((name) => `${name} is unused`),
    ]);
  });

  test("a relative import names a file that exists, with its .ts", () => {
    const wrong = everything.flatMap((file) =>
      importsOf(file)
        .filter((specifier) => specifier.startsWith("."))
        .filter(
          (specifier) =>
            !/\.(ts|json)$/.test(specifier) || !existsSync(join(repositoryRoot, targetOf(file, specifier))),
        )
        .map((specifier) => `${file.path} imports ${specifier}`),
    );
    assertNone(wrong);
  });
});

describe("Effects", () => {
  const inside = product.filter((file) => !["platform", "testing"].includes(roomOf(file.path)));

  test("time is read and waited for in platform alone", () => {
    assertNone(
      findAll(
        inside,
        /\bnew Date\(\s*\)|\bDate\(\s*\)|\bDate\.now\b|\bperformance\.|\bhrtime\b|\bAbortSignal\.timeout\b/,
      ),
    );
    assertNone(findAll(inside, /(?:^|[^.\w]|globalThis\.)(?:setTimeout|setInterval)\b|"node:(?:timers|perf_hooks)/));
  });

  test("randomness and ids come from platform alone", () => {
    assertNone(findAll(inside, /\bMath\.random\b|\brandomUUID\b|\brandomBytes\b|\brandomInt\b|\bgetRandomValues\b/));
  });

  test("the environment is read in platform alone", () => {
    assertNone(findAll(inside, /\bprocess\.env\b|\benv\b.*\bfrom "node:process"|\benv\b.*= process\b/));
  });
});

describe("Names", () => {
  const named = [...pathsUnder("src", "test", "examples", "bench", "scripts")];

  test("files and folders are named in kebab-case", () => {
    const wrong = named
      .filter((path) => path.endsWith(".ts"))
      .filter((path) => !/^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*(\.test|\.config)?\.ts$/.test(path));
    assertNone(wrong);
  });

  test("no file and no folder is named after nothing in particular, or after a kind", () => {
    const empty =
      /(^|[/-])(utils?|helpers?|manager|misc)(?=[-./]|$)|(^|\/)(lib|common|shared|types|interfaces|classes|enums|constants)(?=[./]|$)/;
    assertNone(named.filter((path) => empty.test(path)));
  });

  test("migrations have a number each, from 0001 on, and plain names", () => {
    const migrations = pathsUnder("sql").map((path) => basename(path));
    assertNone(migrations.filter((name) => !/^\d{4}_[a-z0-9_]+\.sql$/.test(name)));
    const numbers = migrations.map((name) => name.slice(0, 4)).sort();
    assert.equal(numbers[0], "0001");
    assert.equal(new Set(numbers).size, numbers.length, `two migrations share a number: ${numbers.join(", ")}`);
  });
});

describe("Shape", () => {
  test("src has no default export, no enum and no namespace", () => {
    assertNone(
      findAll(
        product,
        /^\s*export default\b|^\s*(export )?(declare )?(const )?enum \w+ \{|^\s*(export )?(declare )?namespace \w+/,
      ),
    );
  });

  // The patterns spell a letter as a class so that they do not find themselves.
  test("nothing is left for later", () => {
    const unfinished = /\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b/;
    const wrong = everything.flatMap((file) => (unfinished.test(file.text) ? [file.path] : []));
    assertNone(wrong);
  });

  test("no test is singled out, and a skipped one gives its reason", () => {
    assertNone(
      findAll(
        everything,
        /\b(test|it|describe|suite|t)\.(onl[y]|tod[o])\(|\b(test|it|describe|suite)\.ski[p]\(|\b(only|skip|todo):\s*tru[e]\b|\.ski[p]\(\)/,
      ),
    );
  });
});

describe("The public surface", () => {
  const entryPoints = ["src/index.ts", "src/client/index.ts", "src/testing/index.ts"];

  test("an entry point names what it exports", () => {
    assertNone(
      findAll(
        product.filter((file) => entryPoints.includes(file.path)),
        /^export \*/,
      ),
    );
  });

  test("every exported function, class and value says what it is for", () => {
    const undocumented = entryPoints.flatMap((path) =>
      exportedValues(fileAt(path))
        .filter(({ name, file }) => !hasDocstring(file, name))
        .map(({ name, file }) => `${name} (${file.path})`),
    );
    assertNone(undocumented);
  });
});

function lineCount(text: string): number {
  return text.replace(/\n$/, "").split("\n").length;
}

/** Whether an import means the given package, or, of a name that ends in a slash, one of that scope. */
function isOf(specifier: string, library: string): boolean {
  return specifier === library || specifier.startsWith(library.endsWith("/") ? library : `${library}/`);
}

function isAllowed(file: SourceFile, specifier: string): boolean {
  const room = roomOf(file.path);
  if (specifier.startsWith("holdfast")) return room === "cli";
  if (!specifier.startsWith(".")) return room !== "agent";
  const target = targetOf(file, specifier);
  if (room === "agent" && roomOf(target) === "platform") return target === "src/platform/errors.ts";
  if (room === "server" && roomOf(target) === "client") return target === "src/client/wire.ts";
  return roomOf(target) === room || (mayImport[room]?.includes(roomOf(target)) ?? false);
}

function fileAt(path: string): SourceFile {
  const file = sources.find((candidate) => candidate.path === path);
  assert.ok(file, `${path} is missing`);
  return file;
}

/** The values that a module exports, each with the file that declares it. */
function exportedValues(file: SourceFile): { name: string; file: SourceFile }[] {
  const own = [...file.code.matchAll(/^export (?:async )?(?:function\*?|class|const) (\w+)/gm)];
  const passedOn = [...file.code.matchAll(/^export \{([^}]*)\} from "(\.[^"]+)"/gm)];
  return [
    ...own.map((match) => ({ name: match[1] ?? "", file })),
    ...passedOn.flatMap((match) => {
      const declaring = fileAt(posix.normalize(targetOf(file, match[2] ?? "")));
      const names = (match[1] ?? "").split(",").map((name) => name.trim());
      const values = names
        .filter((name) => name !== "" && !name.startsWith("type "))
        .map((name) => name.split(" as ")[0]);
      return exportedValues(declaring).filter(({ name }) => values.includes(name));
    }),
  ];
}

function hasDocstring(file: SourceFile, name: string): boolean {
  return new RegExp(`\\*/\\nexport (?:async )?(?:function\\*?|class|const) ${name}\\b`).test(file.text);
}
