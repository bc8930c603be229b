import assert from "node:assert/strict";
import { test } from "node:test";
import { nextTurn } from "../platform/next-turn.ts";
import { silentLogger } from "../telemetry/log.ts";
import type { Carrier, Message } from "./carrier.ts";
import { carryHints } from "./hints.ts";
import { Hub, type Hint } from "./hub.ts";

const cancel = (taskId: string, by: string): Hint => ({ type: "cancel", taskId, by });

/** A process that hears what another one gives out over a carrier that sends as the test says. */
async function twoProcesses(send: (payloads: readonly string[]) => Promise<void>) {
  const listeners: ((payload: string) => void)[] = [];
  const carrier: Carrier = {
    send: async (messages: readonly Message[]) => {
      const payloads = messages.map(({ payload }) => payload);
      await send(payloads);
      for (const payload of payloads) for (const listener of listeners) listener(payload);
    },
    listen: async (onPayload) => {
      listeners.push(onPayload);
      return async () => {};
    },
  };
  const [one, two] = [new Hub(), new Hub()];
  const heard: Hint[] = [];
  two.onHint((hint) => heard.push(hint));
  const stops = [
    await carryHints({ hub: one, carrier, log: silentLogger, process: "1" }),
    await carryHints({ hub: two, carrier, log: silentLogger, process: "2" }),
  ];
  return {
    heard,
    tell: (hint: Hint) => one.hint(hint),
    stop: async () => {
      for (const stop of stops) await stop();
    },
  };
}

test("many hints travel in payloads that fit, however long the names in them are", async () => {
  const { heard, tell, stop } = await twoProcesses(async (payloads) => {
    for (const payload of payloads) assert.ok(Buffer.byteLength(payload) < 8_000, `${payload.length} characters`);
  });
  const hints = Array.from({ length: 60 }, (_, index) => cancel(`task-${index}`, "名".repeat(200)));
  for (const hint of hints) tell(hint);
  tell(cancel("beyond every payload", "x".repeat(8_000)));
  await nextTurn();
  assert.deepEqual(heard, hints);
  await stop();
});

test("what is said while a sending fails is sent", async () => {
  const first = Promise.withResolvers<void>();
  let sendings = 0;
  const { heard, tell, stop } = await twoProcesses(() => (sendings++ === 0 ? first.promise : Promise.resolve()));
  tell(cancel("lost", "ana"));
  await nextTurn();
  tell(cancel("kept", "ben"));
  first.reject(new Error("The connection was lost."));
  await nextTurn();
  assert.deepEqual(heard, [cancel("kept", "ben")]);
  await stop();
});
