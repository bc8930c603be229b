/** What an agent says and does, told as one answer. */
import { textOf, type AssistantPart, type Usage } from "../../agent/conversation.ts";
import type { Entry, ModelEntry, ToolEntry } from "../../agent/journal.ts";
import type { TaskEvent } from "../../engine/watch.ts";
import type { Reply, ReplyEvent } from "./call.ts";

const mostInputChars = 500;
const betweenTurns = "\n\n";

export class AgentTelling {
  /** The text of turns that are over, and of the one in flight as far as it was told. */
  #said = "";
  #turn = "";
  #reasoning = "";
  usage: Usage = { input: 0, cached: 0, output: 0, reasoning: 0, estimated: false };
  finish: Reply["finish"] = "stop";

  get parts(): readonly AssistantPart[] {
    const reasoning: AssistantPart[] = this.#reasoning === "" ? [] : [{ type: "reasoning", text: this.#reasoning }];
    return [...reasoning, { type: "text", text: this.#said }];
  }

  *tell(event: Exclude<TaskEvent, { type: "result" }>): Generator<ReplyEvent> {
    switch (event.type) {
      case "delta":
        if (event.delta.type === "text") yield* this.#say(event.delta.text);
        else if (event.delta.type === "reasoning") yield* this.#think(event.delta.text);
        else yield* this.#beginTurnAgain();
        break;
      case "partial":
        if (!event.text.startsWith(this.#turn)) yield* this.#beginTurnAgain();
        yield* this.#say(event.text.slice(this.#turn.length));
        break;
      case "entry":
        yield* this.#tellEntry(event.entry);
    }
  }

  *#tellEntry(entry: Entry): Generator<ReplyEvent> {
    if (entry.kind === "model") yield* this.#endTurn(entry);
    else if (entry.kind === "tool") yield* this.#act(outcomeOf(entry));
    else if (entry.kind === "question") yield* this.#act(`waits for a human: ${entry.reason}`);
  }

  *#say(text: string): Generator<ReplyEvent> {
    if (text === "") return;
    const gap = this.#turn === "" && this.#said !== "" ? betweenTurns : "";
    this.#turn += text;
    yield { type: "text", text: gap + text };
  }

  *#think(text: string): Generator<ReplyEvent> {
    this.#reasoning += text;
    yield { type: "reasoning", text };
  }

  *#act(what: string): Generator<ReplyEvent> {
    yield* this.#think(`${this.#reasoning === "" || this.#reasoning.endsWith("\n") ? "" : "\n"}[${what}]\n`);
  }

  /** Of the turn in flight nothing holds; what was said before it holds all the same. */
  *#beginTurnAgain(): Generator<ReplyEvent> {
    if (this.#turn === "") return;
    this.#turn = "";
    yield { type: "restart" };
    if (this.#reasoning !== "") yield { type: "reasoning", text: this.#reasoning };
    if (this.#said !== "") yield { type: "text", text: this.#said };
  }

  *#endTurn(turn: ModelEntry): Generator<ReplyEvent> {
    const text = textOf(turn.parts);
    if (!text.startsWith(this.#turn)) yield* this.#beginTurnAgain();
    yield* this.#say(text.slice(this.#turn.length));
    this.#said += this.#turn === "" || this.#said === "" ? this.#turn : betweenTurns + this.#turn;
    this.#turn = "";
    this.usage = sum(this.usage, turn.usage);
    this.finish = turn.finish === "content_filter" || turn.finish === "length" ? turn.finish : "stop";
    for (const part of turn.parts) {
      if (part.type === "call") yield* this.#act(`${part.tool} ${shorten(JSON.stringify(part.input))}`);
    }
  }
}

function outcomeOf({ tool, outcome }: ToolEntry): string {
  return outcome.ok ? `${tool}: done` : `${tool}: ${outcome.code}`;
}

function shorten(text: string): string {
  return text.length <= mostInputChars ? text : `${text.slice(0, mostInputChars).toWellFormed()}…`;
}

function sum(one: Usage, other: Usage): Usage {
  return {
    input: one.input + other.input,
    cached: one.cached + other.cached,
    output: one.output + other.output,
    reasoning: one.reasoning + other.reasoning,
    estimated: one.estimated || other.estimated,
  };
}
