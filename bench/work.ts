/**
 * The work that every engine is given: a task is 5 model turns, 4 of which ask for one tool call, about 500 bytes a
 * message. The model and the tool are functions of this process that answer at once, so what is measured is the engine.
 *
 * It imports nothing: engines that are not Holdfast's run it as it stands.
 */
export const turns = 5;
/** What has to be durable of a task, each before the next begins: its input, every turn, every result of a tool. */
export const stepsPerTask = turns * 2;

const pad = (mark: string): string => mark.padEnd(400, "x");

export const prompt = pad("prompt_0");
export const answer = pad("answer_0");

/** A text for each step that only its message holds, to find it by in a store that keeps all of a task in one place. */
export const marks: readonly string[] = [
  "prompt_0",
  ...Array.from({ length: turns - 1 }, (_, turn) => [`call_${turn}`, `result_${turn}`]).flat(),
  "answer_0",
];

export interface ToolInput {
  readonly turn: number;
  readonly text: string;
}

export interface Turn {
  readonly text: string;
  /** The call that the turn asks for; the last turn has none. */
  readonly call?: { readonly id: string; readonly name: "look_up"; readonly input: ToolInput };
}

export interface ToolResult {
  readonly found: string;
}

type BeforeStep = (stepsBefore: number) => Promise<void>;

let beforeStep: BeforeStep | undefined;

/** Has a function called before each step, with how many steps of the task came before it; for the check of durability. */
export function watchSteps(watch: BeforeStep | undefined): void {
  beforeStep = watch;
}

/** The model: `turn` counts from 0. */
export async function callModel(turn: number): Promise<Turn> {
  await beforeStep?.(1 + turn * 2);
  if (turn >= turns - 1) return { text: answer };
  return { text: "", call: { id: `call_${turn}`, name: "look_up", input: { turn, text: pad("input_") } } };
}

export async function callTool({ turn }: ToolInput): Promise<ToolResult> {
  await beforeStep?.(2 + turn * 2);
  return { found: pad(`result_${turn}`) };
}

/** The loop of an agent for engines that make steps of plain functions durable, but have no loop of their own. */
export async function runTurns(
  step: <T extends Turn | ToolResult>(name: string, perform: () => Promise<T>) => Promise<T>,
): Promise<string> {
  for (let turn = 0; ; turn++) {
    const { text, call } = await step(`model-${turn}`, () => callModel(turn));
    if (!call) return text;
    await step(`tool-${turn}`, () => callTool(call.input));
  }
}

/** Bytes of a task's messages as JSON: what any engine has to keep at least. */
export const payloadBytes = await (async (): Promise<number> => {
  const steps: unknown[] = [prompt];
  await runTurns(async (_name, perform) => {
    const result = await perform();
    steps.push(result);
    return result;
  });
  return steps.reduce<number>((sum, step) => sum + JSON.stringify(step).length, 0);
})();
