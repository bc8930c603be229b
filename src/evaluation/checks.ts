/** Whether an answer and the calls that led to it are what a case expects. No model is asked for this. */
import { isObject, type Json } from "../agent/json.ts";
import { compileSchema, describeProblems } from "../tools/schema.ts";
import { patternOf, type AnswerExpectation, type CallExpectation, type ExpectedCall } from "./cases.ts";

/** One expectation and what came of it. */
export interface Check {
  readonly what: "answer" | "calls" | "judge" | "task";
  readonly passed: boolean;
  /** What was expected and what there was instead; of a check that passed, what was expected. */
  readonly reason: string;
}

export interface MadeCall {
  readonly tool: string;
  readonly input: Json;
}

export function checkAnswer(answer: string, expect: AnswerExpectation): Check[] {
  const { exact, contains, excludes, regex, schema } = expect;
  const text = answer.trim();
  const has = (part: string): boolean => text.toLowerCase().includes(part.toLowerCase());
  return [
    ...(exact === undefined ? [] : [checkOf(text === exact.trim(), `is "${exact.trim()}"`)]),
    ...contains.map((part) => checkOf(has(part), `contains "${part}"`)),
    ...excludes.map((part) => checkOf(!has(part), `does not contain "${part}"`)),
    ...(regex === undefined ? [] : [checkOf(patternOf(regex).test(text), `matches /${regex}/`)]),
    ...(schema === undefined ? [] : [checkSchema(text, schema)]),
  ];
}

function checkOf(passed: boolean, rule: string): Check {
  return { what: "answer", passed, reason: passed ? `It ${rule}.` : `Expected: it ${rule}.` };
}

function checkSchema(text: string, schema: NonNullable<AnswerExpectation["schema"]>): Check {
  const value = parseJson(text);
  if (value === undefined) return { what: "answer", passed: false, reason: "It is not JSON." };
  const parsed = compileSchema(schema, "output").parse(value);
  const reason = parsed.ok ? "It satisfies the schema." : `It does not satisfy the schema: ${flat(parsed.problems)}`;
  return { what: "answer", passed: parsed.ok, reason };
}

function flat(problems: Parameters<typeof describeProblems>[0]): string {
  return describeProblems(problems).replaceAll("\n", "; ");
}

/** The JSON of a text; a fence around it, which models like to add, is no fault. Undefined: it is none. */
function parseJson(text: string): unknown {
  const fenced = /^```(?:json)?\s*\n([\s\S]*?)\n?```$/.exec(text)?.[1];
  try {
    return JSON.parse(fenced ?? text) as unknown;
  } catch {
    return undefined;
  }
}

export function checkCalls(made: readonly MadeCall[], { calls, match }: CallExpectation): Check {
  const passed = matchers[match](calls, made);
  const order = { any_order: "", in_order: ", in this order", exact: ", in this order and no others" }[match];
  const wanted = `${shown(calls) || "no calls"}${order}`;
  return {
    what: "calls",
    passed,
    reason: passed ? `It called ${wanted}.` : `Expected were ${wanted}; made were ${shown(made) || "none"}.`,
  };
}

type Matcher = (expected: readonly ExpectedCall[], made: readonly MadeCall[]) => boolean;

const matchers: Record<CallExpectation["match"], Matcher> = {
  exact: (expected, made) => expected.length === made.length && made.every((call, at) => fits(expected[at], call)),
  // The earliest call that fits leaves the most for those that follow.
  in_order: (expected, made) =>
    made.reduce((found, call) => found + Number(fits(expected[found], call)), 0) === expected.length,
  any_order: assignable,
};

/** Whether each expected call can have a call of its own: whoever finds its call taken asks the taker to take another. */
function assignable(expected: readonly ExpectedCall[], made: readonly MadeCall[]): boolean {
  const takers = new Map<number, number>();
  const place = (wanted: number, asked: Set<number>): boolean =>
    made.some((call, at) => {
      if (asked.has(at) || !fits(expected[wanted], call)) return false;
      asked.add(at);
      const taker = takers.get(at);
      if (taker !== undefined && !place(taker, asked)) return false;
      takers.set(at, wanted);
      return true;
    });
  return expected.every((_call, wanted) => place(wanted, new Set()));
}

/** Whether a call is of that tool, with at least those arguments. */
export function fits(expected: ExpectedCall | undefined, { tool, input }: MadeCall): boolean {
  return expected?.tool === tool && (expected.input === undefined || includes(input, expected.input));
}

function includes(value: Json | undefined, part: Json): boolean {
  if (isObject(part))
    return isObject(value) && Object.entries(part).every(([key, inner]) => includes(value[key], inner));
  if (!Array.isArray(part)) return value === part;
  return Array.isArray(value) && value.length === part.length && part.every((inner, at) => includes(value[at], inner));
}

function shown(calls: readonly ExpectedCall[]): string {
  return calls.map(({ tool, input }) => `${tool}(${input === undefined ? "…" : JSON.stringify(input)})`).join(", ");
}
