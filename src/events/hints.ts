/**
 * Brings hints to the other processes and hears theirs. They are sent after what they speak of has committed, many at once,
 * on nobody's critical path; a lost one costs latency and nothing else.
 */
import { isObject } from "../agent/json.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Carrier } from "./carrier.ts";
import type { Hint, Hub } from "./hub.ts";
import { packLists, parsePayload } from "./payloads.ts";
import { createSender } from "./sender.ts";

/** More hints than this wait for the carrier: the rest are dropped. */
const mostWaiting = 10_000;

/** @param deps.process names this process, so that it does not hear its own hints @returns a function that stops it */
export async function carryHints(deps: {
  hub: Hub;
  carrier: Carrier;
  log: Logger;
  process: string;
}): Promise<() => Promise<void>> {
  const { hub, carrier, log, process } = deps;
  const waiting = new Map<string, Hint>();
  const take = () => {
    const payloads = pack([...waiting.values()], process);
    waiting.clear();
    return payloads.map((payload) => ({ payload }));
  };
  const sender = createSender({ carrier, log, what: "hints", take });

  const stopHearing = hub.onHint((hint, origin) => {
    if (origin === "elsewhere" || waiting.size >= mostWaiting) return;
    waiting.set(hint.type === "work" ? hint.type : `${hint.type} ${hint.taskId}`, hint);
    sender.wake();
  });
  const stopListening = await carrier.listen((payload) => {
    for (const hint of unpack(payload, process)) hub.hint(hint, "elsewhere");
  });
  return async () => {
    stopHearing();
    await stopListening();
    await sender.settled();
  };
}

function pack(hints: readonly Hint[], process: string): string[] {
  const [head, tail] = [`{"process":"${process}","hints":`, "}"];
  const items = hints.map((hint) => JSON.stringify(hint));
  return packLists(items, head.length + tail.length).map((list) => `${head}${list}${tail}`);
}

function unpack(payload: string, ownProcess: string): Hint[] {
  // Every process hears its own words again, which are most of what it hears: those are not worth parsing.
  if (payload.startsWith(`{"process":"${ownProcess}"`)) return [];
  const message = parsePayload(payload);
  const hints = isObject(message) && Array.isArray(message["hints"]) ? message["hints"] : [];
  return hints.flatMap((hint) => toHint(hint) ?? []);
}

/** Undefined: another release says what this one does not know. */
function toHint(value: unknown): Hint | undefined {
  if (!isObject(value)) return undefined;
  const { type, taskId, by } = value;
  if (type === "work") return { type };
  if (type === "interrupt" && typeof taskId === "string") return { type, taskId };
  if (type === "cancel" && typeof taskId === "string" && typeof by === "string") return { type, taskId, by };
  return undefined;
}
