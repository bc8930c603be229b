/**
 * The cases of an evaluation: a file of JSON lines, each a prompt and what must come of it. Whatever is wrong with a line is
 * said before the first model is called.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../agent/json.ts";
import { InvalidInputError, messageOf } from "../platform/errors.ts";
import { compileSchema } from "../tools/schema.ts";

export interface EvaluationCase {
  /** Default: the number of its line. */
  readonly id: string;
  readonly prompt: string;
  readonly context: Json;
  readonly expect: AnswerExpectation;
  readonly calls: CallExpectation | null;
  readonly judge: JudgeExpectation | null;
  readonly outcomes: readonly RecordedOutcome[];
}

/** What the answer must be like; each part that is there must hold. */
export interface AnswerExpectation {
  /** The whole answer, but for space around it. */
  readonly exact?: string | undefined;
  /** Each must stand in it somewhere, in whatever case. */
  readonly contains: readonly string[];
  /** None of these may. */
  readonly excludes: readonly string[];
  readonly regex?: string | undefined;
  /** JSON Schema of the answer, which must be JSON. */
  readonly schema?: JsonObject | undefined;
}

export interface CallExpectation {
  readonly calls: readonly ExpectedCall[];
  /**
   * `any_order`: each of them was made, and others may have been. `in_order`: the same, and in this order. `exact`: these, in
   * this order, and no others.
   */
  readonly match: "any_order" | "in_order" | "exact";
}

export interface ExpectedCall {
  readonly tool: string;
  /** Its arguments must hold at least these; absent: any. */
  readonly input?: Json | undefined;
}

export interface JudgeExpectation {
  /** Each is judged by itself: it is met or it is not. */
  readonly criteria: readonly string[];
  /** An answer known to be good. */
  readonly reference: string | null;
  /** The share of the criteria that must be met. */
  readonly atLeast: number;
}

/** What a tool is said to have answered. */
export interface RecordedOutcome extends ExpectedCall {
  readonly outcome: { readonly output: Json } | { readonly code: string; readonly message: string };
}

const mostCases = 10_000;

const text = z.string().min(1);
const texts = z.union([text.transform((one) => [one]), z.array(text)]);
const anyJson = z.unknown() as unknown as z.ZodType<Json>;
const anyObject = z.record(z.string(), z.unknown()) as unknown as z.ZodType<JsonObject>;
const share = z.number().min(0).max(1);
const call = { tool: text, input: anyJson.optional() };

const criteria = z.array(text).min(1);
const judge = z.union([
  criteria.transform((all) => ({ criteria: all, reference: null, atLeast: 1 })),
  z
    .strictObject({ criteria, reference: text.nullable().default(null), at_least: share.default(1) })
    .transform(({ at_least: atLeast, ...rest }) => ({ ...rest, atLeast })),
]);

const outcome = z
  .strictObject({
    ...call,
    output: anyJson.optional(),
    error: z.strictObject({ code: text, message: text }).optional(),
  })
  .refine(({ output, error }) => (output === undefined) !== (error === undefined), "needs either output or error")
  .transform(({ tool, input, output = null, error }) => ({ tool, input, outcome: error ?? { output } }));

const line = z.strictObject({
  id: text.optional(),
  prompt: text,
  context: anyJson.default(null),
  expect: z
    .strictObject({
      exact: z.string().optional(),
      contains: texts.default([]),
      excludes: texts.default([]),
      regex: text.optional(),
      schema: anyObject.optional(),
    })
    .default({ contains: [], excludes: [] }),
  calls: z.array(z.strictObject(call)).optional(),
  calls_match: z.enum(["any_order", "in_order", "exact"]).default("any_order"),
  judge: judge.optional(),
  outcomes: z.array(outcome).default([]),
});

/** @throws InvalidInputError `invalid_cases` with the line and the path of what is wrong */
export function parseCases(file: string): EvaluationCase[] {
  const lines = file.split("\n").map((json, index) => ({ json: json.trim(), number: index + 1 }));
  const cases = lines.filter(({ json }) => json !== "").map(parseCase);
  if (cases.length === 0) throw invalid("There is no case in the file: it holds one JSON object a line.");
  if (cases.length > mostCases) throw invalid(`The file holds ${cases.length} cases; ${mostCases} is the most.`);
  const ids = new Set<string>();
  for (const { id } of cases) {
    if (ids.has(id)) throw invalid(`Two cases have the id "${id}".`);
    ids.add(id);
  }
  return cases;
}

function parseCase({ json, number }: { json: string; number: number }): EvaluationCase {
  const parsed = line.safeParse(parseJson(json, number));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalidLine(number, issue?.message ?? "is not a case", `/${issue?.path.map(String).join("/") ?? ""}`);
  }
  const { calls, calls_match: match, id = `line ${number}`, judge: judged = null, ...rest } = parsed.data;
  const found: EvaluationCase = { ...rest, id, judge: judged, calls: calls === undefined ? null : { calls, match } };
  checkPatterns(found, number);
  if (expectsNothing(found)) {
    throw invalidLine(number, "expects nothing: give it an answer to expect, tool calls, or criteria for a judge");
  }
  return found;
}

function parseJson(json: string, number: number): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw invalidLine(number, `is not JSON: ${messageOf(error)}`);
  }
}

function checkPatterns({ expect: { regex, schema } }: EvaluationCase, number: number): void {
  try {
    if (regex !== undefined) patternOf(regex);
  } catch (error) {
    throw invalidLine(number, messageOf(error), "/expect/regex");
  }
  try {
    if (schema !== undefined) compileSchema(schema, "output");
  } catch (error) {
    throw invalidLine(number, messageOf(error), "/expect/schema");
  }
}

export function patternOf(regex: string): RegExp {
  return new RegExp(regex, "u");
}

function expectsNothing({ expect, calls, judge: judged }: EvaluationCase): boolean {
  const { contains, excludes, exact, regex, schema } = expect;
  const named = [exact, regex, schema].some((each) => each !== undefined);
  return !named && contains.length + excludes.length === 0 && calls === null && judged === null;
}

function invalidLine(number: number, problem: string, path = ""): InvalidInputError {
  return invalid(`Line ${number}${path === "/" ? "" : path && ` at ${path}`}: ${problem}.`.replace(/\.+$/, "."));
}

function invalid(message: string): InvalidInputError {
  return new InvalidInputError("invalid_cases", message);
}
