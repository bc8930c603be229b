/**
 * Brings hints to the other processes and hears theirs. They are sent after what they speak of has committed, many at once,
 * on nobody's critical path; a lost one costs latency and nothing else.
 */
import { isObject } from "../agent/json.ts";
import { createBackground } from "../platform/background.ts";
import type { Logger } from "../telemetry/log.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";
import type { Carrier } from "./carrier.ts";
import type { Hint, Hub } from "./hub.ts";

/** More hints than this wait for the carrier: the rest are dropped. */
const mostWaiting = 10_000;
/** A payload must be shorter than 8,000 bytes. */
const hintsPerPayload = 20;

/** @param deps.process names this process, so that it does not hear its own hints @returns a function that stops it */
export async function carryHints(deps: {
  hub: Hub;
  carrier: Carrier;
  log: Logger;
  process: string;
}): Promise<() => Promise<void>> {
  const { hub, carrier, log, process } = deps;
  const background = createBackground((_name, error) => logStoreTrouble(log, error, "cannot send hints"));
  const waiting = new Map<string, Hint>();
  let sending = false;

  const send = async (): Promise<void> => {
    try {
      while (waiting.size > 0) {
        const payloads = pack([...waiting.values()], process);
        waiting.clear();
        await carrier.send(payloads.map((payload) => ({ payload })));
      }
    } finally {
      sending = false;
    }
  };

  const stopHearing = hub.onHint((hint, origin) => {
    if (origin === "elsewhere" || waiting.size >= mostWaiting) return;
    waiting.set(hint.type === "work" ? hint.type : `${hint.type} ${hint.taskId}`, hint);
    if (sending) return;
    sending = true;
    background.start("hints", send);
  });
  const stopListening = await carrier.listen((payload) => {
    for (const hint of unpack(payload, process)) hub.hint(hint, "elsewhere");
  });
  return async () => {
    stopHearing();
    await stopListening();
    await background.settled();
  };
}

function pack(hints: readonly Hint[], process: string): string[] {
  const payloads: string[] = [];
  for (let start = 0; start < hints.length; start += hintsPerPayload) {
    payloads.push(JSON.stringify({ process, hints: hints.slice(start, start + hintsPerPayload) }));
  }
  return payloads;
}

function unpack(payload: string, ownProcess: string): Hint[] {
  // Every process hears its own words again, which are most of what it hears: those are not worth parsing.
  if (payload.startsWith(`{"process":"${ownProcess}"`)) return [];
  const message = parse(payload);
  const hints = isObject(message) && Array.isArray(message["hints"]) ? message["hints"] : [];
  return hints.flatMap((hint) => toHint(hint) ?? []);
}

/** Whoever may connect may shout on the channel, and another release may say what this one does not know. */
function parse(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    return undefined;
  }
}

function toHint(value: unknown): Hint | undefined {
  if (!isObject(value)) return undefined;
  const { type, taskId, by } = value;
  if (type === "work") return { type };
  if (type === "interrupt" && typeof taskId === "string") return { type, taskId };
  if (type === "cancel" && typeof taskId === "string" && typeof by === "string") return { type, taskId, by };
  return undefined;
}
