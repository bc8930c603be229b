/**
 * The models: they say what the script says, token by token, and sometimes refuse, break off or fall silent. What they
 * were shown and what they billed is written down.
 */
import {
  APICallError,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
  type LanguageModelV4StreamPart,
} from "@ai-sdk/provider";
import type { ModelProviders } from "../../src/gateway/gateway.ts";
import type { Faults } from "./faults.ts";
import type { Plant } from "./plant.ts";
import { scriptNameIn, type Scripts, type ScriptedTurn } from "./scripts.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { World } from "./world.ts";

/** A call as the provider saw it. */
export interface ModelCall {
  readonly at: number;
  readonly process: string;
  readonly script: string;
  /** The scripts that the conversation before it names, in order. */
  readonly history: readonly string[];
}

/** What a whole reply was billed at, by the id that the reply carries. */
export interface Bill {
  readonly script: string;
  readonly input: number;
  readonly output: number;
}

export class ModelBook {
  readonly calls: ModelCall[] = [];
  readonly bills = new Map<string, Bill>();
}

export interface ModelDeps {
  readonly world: World;
  readonly faults: Faults;
  readonly scripts: Scripts;
  readonly book: ModelBook;
  readonly process: SimulatedProcess;
  readonly plant: Plant;
}

export function simulatedProviders(deps: ModelDeps): ModelProviders {
  const models = new Map<string, LanguageModelV4>();
  return {
    model: (name) => {
      const model = models.get(name) ?? simulatedModel(name, deps);
      models.set(name, model);
      return model;
    },
  };
}

function simulatedModel(name: string, deps: ModelDeps): LanguageModelV4 {
  const [provider = "", modelId = ""] = name.split("/");
  return {
    specificationVersion: "v4",
    provider,
    modelId,
    supportedUrls: {},
    doStream: (options) => answer(options, deps),
    doGenerate: () => Promise.reject(new Error("Models are called by streaming.")),
  };
}

async function answer(options: LanguageModelV4CallOptions, deps: ModelDeps) {
  const { world, faults, process, scripts, book } = deps;
  const { name, history, turn: number } = readPrompt(options);
  const turn = scripts.get(name).turns[number] ?? { calls: [], text: `${name} is long done.`, finish: "stop" };
  world.trace(process, `calls the model for ${name}, turn ${number + 1}`);
  book.calls.push({ at: world.now, process: process.name, script: name, history });
  await new Promise<void>((resolve) => {
    const thinkingMs = faults.strikes("modelSlow") ? world.between(100, 1_400) : world.between(5, 60);
    const waitMs = faults.strikes("modelHangs") ? 60_000 : thinkingMs;
    world.plan({ owner: process, afterMs: waitMs, label: "", run: resolve });
  });
  if (faults.strikes("modelBusy")) throw failure(429, "Too many requests, rate_limit");
  if (faults.modelsAreAway || faults.strikes("modelDown")) throw failure(503, "The server is overloaded");
  if (faults.strikes("modelRefuses")) throw failure(400, "invalid_request_error");
  return { stream: streamOf(partsOf({ name, options, turn, number }, deps), deps) };
}

function failure(statusCode: number, message: string): APICallError {
  return new APICallError({ message, statusCode, url: "https://model.test", requestBodyValues: {} });
}

function readPrompt({ prompt }: LanguageModelV4CallOptions): { name: string; history: string[]; turn: number } {
  const prompts = prompt.flatMap((message, index) => {
    if (message.role !== "user") return [];
    const [part] = message.content;
    const name = part?.type === "text" ? scriptNameIn(part.text) : undefined;
    return name === undefined ? [] : { index, name };
  });
  const last = prompts.at(-1);
  if (last === undefined) throw new Error("The model was shown no prompt.");
  const turn = prompt.slice(last.index).filter(({ role }) => role === "assistant").length;
  return { name: last.name, history: prompts.slice(0, -1).map(({ name }) => name), turn };
}

interface Reply {
  readonly name: string;
  readonly options: LanguageModelV4CallOptions;
  readonly turn: ScriptedTurn;
  readonly number: number;
}

function partsOf({ name, options, turn, number }: Reply, { book, plant }: ModelDeps): LanguageModelV4StreamPart[] {
  // Each reply has an id of its own, in the ids of its calls or in its text.
  const reply = `r${book.bills.size + 1}`;
  const parts: LanguageModelV4StreamPart[] = [{ type: "stream-start", warnings: [] }];
  const text = turn.calls.length === 0 ? `${turn.text} [${reply}]` : turn.text;
  if (text !== "") {
    parts.push({ type: "text-start", id: "1" });
    for (const delta of text.match(/\s*\S+/g) ?? []) parts.push({ type: "text-delta", id: "1", delta });
    parts.push({ type: "text-end", id: "1" });
  }
  for (const [index, { tool, input }] of turn.calls.entries()) {
    const toolCallId = `${reply}_${number + 1}_${index}`;
    parts.push({ type: "tool-call", toolCallId, toolName: tool, input: JSON.stringify(input) });
  }
  // Fewer than an engine that counts four characters a token will have expected.
  const bill = {
    script: name,
    input: Math.ceil(JSON.stringify(options.prompt.map(({ content }) => content)).length / 8),
    output: Math.ceil(JSON.stringify(turn).length / 8),
  };
  book.bills.set(reply, bill);
  const unified = turn.finish === "calls" ? "tool-calls" : turn.finish;
  const usage = plant.usage({
    inputTokens: { total: bill.input, noCache: bill.input, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: bill.output, text: bill.output, reasoning: 0 },
  });
  parts.push({ type: "finish", finishReason: { unified, raw: undefined }, usage });
  return parts;
}

function streamOf(
  parts: readonly LanguageModelV4StreamPart[],
  { world, faults, process }: ModelDeps,
): ReadableStream<LanguageModelV4StreamPart> {
  const breaksAt = faults.strikes("modelBreaksOff") ? world.integer(0, parts.length - 1) : parts.length;
  return new ReadableStream<LanguageModelV4StreamPart>({
    start(controller) {
      let index = 0;
      const next = (): void => {
        try {
          if (index === breaksAt) return controller.error(new Error("The stream broke off."));
          // Several tokens come in one packet.
          for (let count = world.integer(1, 4); count > 0 && index < Math.min(breaksAt, parts.length); count--) {
            controller.enqueue(parts[index++]!);
          }
          if (index === parts.length) return controller.close();
        } catch {
          // The reader has left.
          return;
        }
        world.plan({ owner: process, afterMs: world.between(1, 15), label: "", run: next });
      };
      world.plan({ owner: process, afterMs: world.between(1, 15), label: "", run: next });
    },
  });
}
