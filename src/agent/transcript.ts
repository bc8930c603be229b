/**
 * What was said in a task after its prompt. Immutable; adding to it costs as much as the last model turn is long, and not
 * as much as all that was said before, so that a step of a long task costs no more than one of a short task.
 */
import type { Message, ToolOutcome } from "./conversation.ts";
import { textOf } from "./conversation.ts";
import { SharedList } from "./shared-list.ts";

type AssistantMessage = Extract<Message, { role: "assistant" }>;

export class Transcript implements Iterable<Message> {
  /** All before the last model turn; it does not change any more. */
  readonly #settled: SharedList<Message>;
  /** The last model turn and what followed it. */
  readonly #turn: readonly Message[];
  /** The last text of a model in what is settled. */
  readonly #settledText: string;

  private constructor(settled: SharedList<Message>, turn: readonly Message[], settledText: string) {
    this.#settled = settled;
    this.#turn = turn;
    this.#settledText = settledText;
  }

  static empty(): Transcript {
    return new Transcript(SharedList.empty<Message>(), [], "");
  }

  get length(): number {
    return this.#settled.length + this.#turn.length;
  }

  get last(): Message | undefined {
    return this.#turn.at(-1) ?? this.#settled.at(-1);
  }

  /** The text of the last turn that said something: the answer, or as much of it as there is. */
  get text(): string {
    return this.#turnText() || this.#settledText;
  }

  *[Symbol.iterator](): Iterator<Message> {
    yield* this.#settled;
    yield* this.#turn;
  }

  /** Begins another model turn. */
  withTurn(message: AssistantMessage): Transcript {
    return new Transcript(this.#settled.with(this.#turn), [message], this.text);
  }

  withUser(text: string): Transcript {
    return this.#withTurn([...this.#turn, { role: "user", text }]);
  }

  /** Outcomes come in any order; the model reads them right after the turn, in the order of its calls. */
  withOutcome(given: { callId: string; tool: string; outcome: ToolOutcome }, callIds: readonly string[]): Transcript {
    const order = new Map(callIds.toReversed().map((id, index) => [id, callIds.length - index]));
    const position = (message: Message): number => {
      if (message.role === "assistant") return 0;
      return message.role === "tool" ? (order.get(message.callId) ?? 0) : callIds.length + 1;
    };
    const turn: Message[] = [...this.#turn, { role: "tool", ...given }];
    return this.#withTurn(turn.sort((a, b) => position(a) - position(b)));
  }

  /** With the last model turn as this makes it. */
  withChangedTurn(change: (message: AssistantMessage) => AssistantMessage): Transcript {
    return this.#withTurn(this.#turn.map((message) => (message.role === "assistant" ? change(message) : message)));
  }

  /** Without the last model turn and what followed it. */
  withoutTurn(): Transcript {
    return this.#withTurn([]);
  }

  /** What was said before the first turn, and each turn with what followed it. */
  parts(): { unanswered: readonly Message[]; turns: readonly (readonly Message[])[] } {
    const unanswered: Message[] = [];
    const turns: Message[][] = [];
    for (const message of this) {
      if (message.role === "assistant") turns.push([message]);
      else (turns.at(-1) ?? unanswered).push(message);
    }
    return { unanswered, turns };
  }

  /** With the newest turns alone; what the user said to the last of them stays even where no turn does. */
  keeping(count: number): Transcript {
    const { turns } = this.parts();
    if (count >= turns.length) return this;
    if (count > 0) return this.#of(turns.slice(-count));
    const said = turns.at(-1)!.filter(({ role }) => role === "user");
    return new Transcript(SharedList.empty<Message>(), said, this.text);
  }

  /** What `keeping` leaves out. */
  before(count: number): Message[] {
    const kept = new Set(this.keeping(count));
    return [...this].filter((message) => !kept.has(message));
  }

  /** With the outcomes of the last model turn as this makes them. */
  withOutcomes(change: (outcome: ToolOutcome, callId: string) => ToolOutcome): Transcript {
    const { unanswered, turns } = this.parts();
    const changed = (turns.at(-1) ?? []).map((message) =>
      message.role === "tool" ? { ...message, outcome: change(message.outcome, message.callId) } : message,
    );
    return turns.length === 0 ? this : this.#of([unanswered, ...turns.slice(0, -1), changed]);
  }

  #of(parts: readonly (readonly Message[])[]): Transcript {
    const settled = SharedList.empty<Message>().with(parts.slice(0, -1).flat());
    return new Transcript(settled, parts.at(-1) ?? [], this.#settledText);
  }

  #withTurn(turn: readonly Message[]): Transcript {
    return new Transcript(this.#settled, turn, this.#settledText);
  }

  #turnText(): string {
    const [message] = this.#turn;
    return message?.role === "assistant" ? textOf(message.parts) : "";
  }
}
