/** A model with a window, in characters: what is longer it refuses, as providers do. It also writes notes where it is asked to. */
import type { Message } from "../../src/agent/conversation.ts";
import { tokensOf } from "../../src/agent/limits.ts";
import { ModelCallError, type ModelRequest } from "../../src/gateway/model-gateway.ts";
import type { GatewayScript, ScriptedTurn } from "../../src/testing/scripted-model.ts";

export interface NarrowModel {
  /** May change while tasks run. */
  readonly windowChars: number;
  /** The turn of a task; `turn` counts those that fitted, from 1. */
  readonly work: (request: ModelRequest, turn: number) => ScriptedTurn;
  /** The n-th summary; default: the text `notes n`. */
  readonly notes?: (request: ModelRequest, asked: number) => ScriptedTurn | Promise<ScriptedTurn>;
}

export function narrowModel(model: NarrowModel): GatewayScript {
  const { work, notes = noted } = model;
  let turns = 0;
  let summaries = 0;
  return (request) => {
    if (asksForNotes(request)) return notes(request, ++summaries);
    if (charsOf(request.messages) > model.windowChars) throw refused("model_context_too_long");
    const usage = { input: tokensOf(charsOf(request.messages)), output: 5 };
    return { usage, ...work(request, ++turns) };
  };
}

const noted: NonNullable<NarrowModel["notes"]> = (_request, asked) => ({
  text: `notes ${asked}`,
  usage: { input: 70, output: 7 },
  costMicros: 500,
});

export function asksForNotes({ system }: Pick<ModelRequest, "system">): boolean {
  return system.startsWith("You keep the notes");
}

export function charsOf(messages: readonly Message[]): number {
  return JSON.stringify(messages).length;
}

export function refused(code: "model_context_too_long" | "model_content_policy" | "model_unavailable"): ModelCallError {
  const retry = code === "model_unavailable" ? { afterMs: 1 } : "never";
  return new ModelCallError(code, `No model answered: ${code}.`, { retry, attempts: [] });
}

/** How many turns of a model there are among the messages. */
export function turnsIn(messages: readonly Message[]): number {
  return messages.filter(({ role }) => role === "assistant").length;
}
