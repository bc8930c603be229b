/**
 * The world outside the service: it makes the recorded calls and answers what was answered then. It outlives every kill,
 * as a bank or an airline's booking system would. A new key is the next call of its conversation, and takes effect; a key
 * that is known is answered again and changes nothing. What only reads may be asked for before the turn that wants it is
 * durable: after a kill the same comes again, under the key of another turn.
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Clock } from "../../../src/platform/clock.ts";
import { messageOf } from "../../../src/platform/errors.ts";
import { type DeskCall, effectOf } from "./airline-config.ts";
import { callsOf, inputOf } from "./expected.ts";
import type { Call, Recording } from "./recordings.ts";

export interface ToolDesk extends AsyncDisposable {
  readonly url: string;
  /** What took effect, for each recording by name: the tools, in order. */
  readonly effects: ReadonlyMap<string, readonly string[]>;
  /** Calls that were made again: after a kill. */
  readonly repeated: { readonly read: number; readonly idempotent: number };
}

interface Account {
  readonly calls: readonly Call[];
  /** The call that each key stands for. */
  readonly byKey: Map<string, Call>;
  /** How many of the calls were made. */
  made: number;
}

/** @param options.latencyMs between the effect and the answer, where a kill hurts most */
export async function openToolDesk(options: {
  recordings: readonly Recording[];
  clock: Clock;
  latencyMs: number;
  onDifference: (difference: string) => void;
}): Promise<ToolDesk> {
  const { clock, latencyMs, onDifference } = options;
  const accounts = new Map<string, Account>(
    options.recordings.map((recording) => [recording.name, { calls: callsOf(recording), byKey: new Map(), made: 0 }]),
  );
  const effects = new Map(options.recordings.map(({ name }): [string, string[]] => [name, []]));
  const repeated = { read: 0, idempotent: 0 };

  function make({ key, agent, tool, input }: DeskCall): string {
    const account = accounts.get(agent);
    assert.ok(account, "there is no such agent");
    const isAsked = (call: Call): boolean => isDeepStrictEqual([tool, input], [call.tool, inputOf(call)]);
    const next = account.calls[account.made];
    const last = account.calls[account.made - 1];
    const isReadAgain = effectOf(tool) === "read" && last !== undefined && isAsked(last) && !(next && isAsked(next));
    const known = account.byKey.get(key) ?? (isReadAgain ? last : undefined);
    const call = known ?? next;
    assert.ok(call, "there was no further call");
    assert.deepEqual({ tool, input }, { tool: call.tool, input: inputOf(call) }, `call ${account.made}, key ${key}`);
    account.byKey.set(key, call);
    if (known === undefined) {
      account.made += 1;
      effects.get(agent)?.push(tool);
    } else repeated[effectOf(tool) === "read" ? "read" : "idempotent"] += 1;
    return call.answer;
  }

  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const call = JSON.parse(await text(request)) as DeskCall;
      try {
        const said = make(call);
        if (latencyMs > 0) await clock.sleep(latencyMs);
        response.end(said);
      } catch (error) {
        onDifference(`${call.agent}: the desk was asked for ${call.tool}: ${messageOf(error)}`);
        response.writeHead(409).end(messageOf(error));
      }
    };
    // A service that is killed in the middle of its request leaves half a body.
    answer().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    effects,
    repeated,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
