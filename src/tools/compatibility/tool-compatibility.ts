/**
 * What a caller of one version of a tool may find broken in another. Agents are bound to ranges of versions, so a version that
 * a range lets in must take every argument that was valid, and answer nothing that was not.
 */
import semver from "semver";
import type { Tool } from "../define-tool.ts";
import type { Gap } from "./keyword-rule.ts";
import { findGaps } from "./schema-subset.ts";

/**
 * @returns what stands against taking `after` for `before`; the paths begin with `/input`, `/output` or `/effect`, and name
 * a place in the schema that is too narrow: of the input the new one, of the output the old one
 */
export function findBreaks(before: Tool, after: Tool): readonly Gap[] {
  return [
    ...effectBreaks(before, after),
    ...findGaps(before.input.jsonSchema, after.input.jsonSchema).map((gap) => under("/input", gap)),
    ...outputBreaks(before, after),
  ];
}

/** Whoever is bound to `before` by a caret may be given `after`. For versions below 1.0.0 a minor one may break. */
export function mustKeepPromises(before: string, after: string): boolean {
  return semver.prerelease(before) === null && semver.gt(after, before) && semver.satisfies(after, `^${before}`);
}

function effectBreaks({ effect: before }: Tool, { effect: after }: Tool): readonly Gap[] {
  return before === after ? [] : [{ path: "/effect", message: `was "${before}" and is "${after}"` }];
}

function outputBreaks({ output: before }: Tool, { output: after }: Tool): readonly Gap[] {
  if (before === null) return [];
  return findGaps(after?.jsonSchema ?? {}, before.jsonSchema).map((gap) => under("/output", gap));
}

function under(side: string, { path, message }: Gap): Gap {
  return { path: side + path, message };
}
