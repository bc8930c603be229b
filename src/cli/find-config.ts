/** Where the config is. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";

export const defaultNames = ["holdfast.config.ts", "holdfast.config.js"];

/** The path of the config: the one that is named, or the one in the current folder; undefined if there is none there. */
export function findConfig(named: string | undefined): string | undefined {
  return named === undefined
    ? defaultNames.map((name) => resolve(name)).find((path) => existsSync(path))
    : resolve(named);
}
