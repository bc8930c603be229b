/** The documentation as data: its pages, the code that stands in them, their headings and links. */
import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { pathsUnder, repositoryRoot } from "./source-files.ts";

export interface Page {
  /** From the root of the repository, as in "docs/start.md". */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly CodeBlock[];
}

export interface CodeBlock {
  readonly language: string;
  /** What stands behind the language, as in "no-run: needs a key". */
  readonly note: string;
  /** Of its first line, from 1. */
  readonly line: number;
  readonly code: string;
}

export interface Link {
  /** The path from the root of the repository; a link into the same page has that of the page. */
  readonly path: string;
  /** Without the "#"; empty: the whole page. */
  readonly anchor: string;
}

const rootPages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

export const pages: readonly Page[] = [
  ...rootPages,
  "docs/start.md",
  ...pathsUnder("docs").filter((path) => path.endsWith(".md") && path !== "docs/start.md"),
].map((path) => {
  const text = readFileSync(join(repositoryRoot, path), "utf8");
  return { path, text, blocks: blocksOf(text) };
});

export function pageAt(path: string): Page {
  const page = pages.find((each) => each.path === path);
  if (page === undefined) throw new Error(`There is no page ${path}.`);
  return page;
}

function blocksOf(text: string): CodeBlock[] {
  return [...text.matchAll(/^```(\w+)[ \t]*(.*)\n([\s\S]*?)^```$/gm)].map(
    ({ 1: language = "", 2: note = "", 3: code = "", index }) => {
      return { language, note, line: text.slice(0, index).split("\n").length + 1, code };
    },
  );
}

/** The links of a page to other files of the repository, and into itself. */
export function linksOf({ path, text }: Page): Link[] {
  const targets = [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = "", anchor = ""] = target.split("#");
      return { path: file === "" ? path : posix.normalize(posix.join(posix.dirname(path), file)), anchor };
    });
}

/** The anchors of a page's headings, as GitHub makes them. */
export function anchorsOf(text: string): string[] {
  return [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** What stands in the first column of the page's tables between backquotes. */
export function firstColumnCodes(text: string): string[] {
  return [...text.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code),
  );
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, "");
}
