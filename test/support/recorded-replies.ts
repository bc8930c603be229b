/**
 * Replies recorded from real providers, by the folder of their format.
 *
 * They are no part of this repository. They are looked for beside it, under shared/data, or under the directory that
 * HOLDFAST_TEST_DATA names; where they are absent the tests of them say so and are left out.
 *
 * `*.chunks.txt` holds one server-sent event's data per line, `*.sse` the stream itself, `*.json` a plain body.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { MockFault } from "../../src/testing/mock-provider.ts";

const data = process.env["HOLDFAST_TEST_DATA"] ?? path.resolve(import.meta.dirname, "../../../shared/data");
const root = path.join(data, "provider-replies");

/** Why a test of the recordings cannot run here, or false. */
export const absent = existsSync(root) ? false : `left out: there are no recorded replies at ${root}`;

/** The model that the recordings of a folder are served to. */
export const modelOfFolder: Readonly<Record<string, string>> = {
  "openai-responses": "openai/gpt-5",
  anthropic: "anthropic/claude-sonnet-4-6",
  google: "google/gemini-3-pro-preview",
  // Chat completions, whoever serves them, are read by the package for compatible servers.
  "openai-chat": "compatible/gpt-4.1-nano",
  "openai-compatible": "compatible/grok-3-mini",
};

/** As "folder/file". */
export function recordedFiles(): string[] {
  return Object.keys(modelOfFolder).flatMap((folder) =>
    readdirSync(path.join(root, folder)).map((file) => `${folder}/${file}`),
  );
}

export function readRecorded(file: string): string {
  return readFileSync(path.join(root, file), "utf8");
}

export function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** @param status of a plain body */
export function serving(file: string, status: number): MockFault {
  const text = readRecorded(file);
  if (file.endsWith(".json")) return { fault: "raw", status, contentType: "application/json", body: text };
  if (file.endsWith(".sse")) return { fault: "raw", contentType: "text/event-stream", body: text };
  return { fault: "raw", chunks: linesOf(text) };
}
