/**
 * The repository's own TypeScript, read as text: what test/tidy.test.ts judges.
 *
 * Deliberately without a parser. The formatter fixes the layout, so an import, a comment and the first and last line of
 * a function can be told by their shape, and this check stays independent of the linter that it doubles.
 */
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, posix } from "node:path";

export interface SourceFile {
  /** From the root of the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** The text with the comments blanked out; lines keep their numbers. */
  readonly code: string;
}

export interface MeasuredFunction {
  /** The first line, from 1. */
  readonly line: number;
  readonly lines: number;
  readonly head: string;
}

export const repositoryRoot = dirname(dirname(import.meta.dirname));

const skippedFolders = new Set(["node_modules", "dist"]);

/** Every path below the given folders of the repository, hidden ones and installed packages left out. */
export function pathsUnder(...folders: readonly string[]): string[] {
  return folders.flatMap((folder) => {
    const entries = readdirSync(join(repositoryRoot, folder), { withFileTypes: true });
    return entries.flatMap((entry) => {
      if (entry.name.startsWith(".") || skippedFolders.has(entry.name)) return [];
      const path = posix.join(folder, entry.name);
      return entry.isDirectory() ? pathsUnder(path) : [path];
    });
  });
}

export function sourceFilesUnder(...folders: readonly string[]): SourceFile[] {
  return pathsUnder(...folders)
    .filter((path) => path.endsWith(".ts"))
    .map((path) => sourceFile(path, readFileSync(join(repositoryRoot, path), "utf8")));
}

export function sourceFile(path: string, text: string): SourceFile {
  return { path, text, code: text.split("\n").map(withoutComment).join("\n") };
}

function withoutComment(line: string): string {
  if (/^\s*(\/\/|\/\*|\*(\s|\/|$))/.test(line)) return "";
  return line.replace(/\s\/\/ .*$/, "");
}

const importStatement = /(?:^|\n)\s*(?:import|export)\b[^;"'`]*?\bfrom\s+"([^"]+)"/g;
const importForEffect = /(?:^|\n)\s*import\s+"([^"]+)"/g;
const importExpression = /\bimport\(\s*"([^"]+)"/g;

/** What a file imports or re-exports, as written. Types count: a layer is a layer for them too. */
export function importsOf(file: SourceFile): string[] {
  return [importStatement, importForEffect, importExpression].flatMap((pattern) =>
    [...file.code.matchAll(pattern)].map((match) => match[1] ?? ""),
  );
}

/** The file that a relative import means. */
export function targetOf(file: SourceFile, specifier: string): string {
  return posix.join(posix.dirname(file.path), specifier);
}

const functionHead = /=> \(?\{$|\bfunction\b.*\{$/;
const methodHead = /^\s*(?:(?:static|async|override|get|set|private|protected|public) )*\*?[#\w$[\].]+(?:<.*>)?\(.*\{$/;
const notMethodHead = /^\s*(?:if|for|while|switch|catch|with|do|else|return|await|throw|\})\b/;

/** The functions of a file with a body in braces: a body ends at the first closing line as deep as the head. */
export function functionsOf(file: SourceFile): MeasuredFunction[] {
  const lines = file.code.split("\n");
  return lines.flatMap((line, end) => {
    const indent = /^( *)\}/.exec(line)?.[1];
    const start = indent === undefined ? undefined : headBefore(lines, end, indent);
    return start === undefined ? [] : [{ line: start + 1, lines: end - start + 1, head: (lines[start] ?? "").trim() }];
  });
}

/** Where the block that closes on line `end` begins, if it is a function's. */
function headBefore(lines: readonly string[], end: number, indent: string): number | undefined {
  const isAsDeep = (line: string): boolean => line.startsWith(indent) && /^[^\s]/.test(line.slice(indent.length));
  const opening = lines.findLastIndex((line, index) => index < end && isAsDeep(line));
  const head = lines[opening] ?? "";
  if (!head.trimStart().startsWith(")")) return isFunctionHead(head) ? opening : undefined;
  // The parameters have lines of their own: the function starts above them.
  const start = lines.findLastIndex((line, index) => index < opening && isAsDeep(line));
  return notMethodHead.test(lines[start] ?? "") ? undefined : start;
}

function isFunctionHead(line: string): boolean {
  return functionHead.test(line) || (methodHead.test(line) && !notMethodHead.test(line));
}
