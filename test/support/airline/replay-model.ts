/**
 * A model that says again what was recorded, and checks that it is told exactly what the recorded one was told: the
 * instructions, the tools, and every message, call and answer of the conversation so far.
 */
import assert from "node:assert/strict";
import type { Json } from "../../../src/agent/json.ts";
import { messageOf } from "../../../src/platform/errors.ts";
import type { MockReply, MockRequest, MockStep } from "../../../src/testing/mock-provider.ts";
import { chatBefore, chatOf, turnAt } from "./expected.ts";
import type { AirlineAgent, Recording } from "./recordings.ts";

export interface ReplayModel {
  readonly answer: (request: MockRequest) => MockStep;
  readonly calls: () => number;
  /** Calls for a turn that had been given before. */
  readonly repeatedCalls: () => number;
}

/** @param options.pace how a turn at a position is sent, so that a kill has something to hit */
export function createReplayModel(options: {
  recordings: readonly Recording[];
  agent: AirlineAgent;
  pace: (position: number) => Pick<MockReply, "latencyMs" | "delayBetweenChunksMs" | "chunkChars">;
  onDifference: (difference: string) => void;
}): ReplayModel {
  const { agent, pace, onDifference } = options;
  const byName = new Map(options.recordings.map((recording) => [recording.name, recording]));
  const offered = agent.tools.map((tool) => ({ type: "function", function: tool }));
  const given = new Set<string>();
  let calls = 0;

  function turnOf({ model, body, stream }: MockRequest): MockReply {
    const recording = byName.get(model);
    assert.ok(recording, `there is no recording of "${model}"`);
    const chat = chatOf(body["messages"]);
    const position = chat.filter((message) => message["role"] === "assistant").length;
    const turn = turnAt(recording, position);
    assert.ok(turn, "the recording is over");
    assert.deepEqual(chat, chatBefore(recording, agent.system, position), `what it is told before turn ${position}`);
    assert.deepEqual(body["tools"], offered as unknown as Json, "the tools it is offered");
    assert.equal(stream, true, "the reply is streamed");
    given.add(`${model} ${position}`);
    const { text, call } = turn;
    return {
      text,
      // As text, so that it is sent to the letter.
      calls: call === null ? [] : [{ id: call.id, name: call.tool, input: call.arguments }],
      ...pace(position),
    };
  }

  return {
    answer(request) {
      calls += 1;
      try {
        return turnOf(request);
      } catch (error) {
        onDifference(`${request.model}: ${messageOf(error)}`);
        // 400: the task fails at once, instead of trying again.
        return { fault: "status", status: 400 };
      }
    },
    calls: () => calls,
    repeatedCalls: () => calls - given.size,
  };
}
