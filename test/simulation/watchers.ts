/** Those who follow a task's event stream: they come back after every cut, from the last entry they saw. */
import type { AgentResult } from "../../src/engine/agent-result.ts";
import type { TaskEvent } from "../../src/engine/watch.ts";
import { NotFoundError } from "../../src/platform/errors.ts";
import type { Entry } from "../../src/agent/journal.ts";
import type { Desk } from "./humans.ts";
import { choose } from "./requests.ts";
import type { SimulatedProcess } from "./simulated-process.ts";

interface Address {
  readonly tenant: string;
  readonly taskId: string;
}

/** @returns the result, once the task has ended; undefined when it is gone */
export async function watch(desk: Desk, address: Address): Promise<AgentResult | undefined> {
  const { world, told } = desk;
  const { taskId } = address;
  const entries: Entry[] = [];
  told.streams.push({ taskId, entries });
  for (;;) {
    const process = await choose(desk);
    const end = await connect(desk, process, { ...address, entries });
    if (end.type === "gone") return undefined;
    if (end.type === "result") {
      told.results.push({ taskId, result: end.result });
      return end.result;
    }
    await world.sleep(world.between(20, 400));
  }
}

type End =
  | { readonly type: "cut" }
  | { readonly type: "gone" }
  | { readonly type: "result"; readonly result: AgentResult };

interface Stream extends Address {
  readonly entries: Entry[];
}

/** One connection, from its request to its end. */
function connect(desk: Desk, process: SimulatedProcess, stream: Stream): Promise<End> {
  const { world, faults } = desk;
  return new Promise((resolve, reject) => {
    const left = new AbortController();
    let isOpen = true;
    let arrivesAt = world.now;
    const close = (end: End): void => {
      if (!isOpen) return;
      isOpen = false;
      left.abort();
      process.connections.delete(cut);
      resolve(end);
    };
    const cut = (): void => {
      world.plan({ owner: world.outside, afterMs: world.between(1, 30), label: "", run: () => close({ type: "cut" }) });
    };
    /** What is sent on one connection arrives in order. */
    const send = (event: TaskEvent): void => {
      arrivesAt = Math.max(arrivesAt + 0.001, world.now + world.between(0.2, 3));
      const receive = (): void => {
        if (!isOpen) return;
        if (faults.strikes("streamCut")) return close({ type: "cut" });
        if (event.type === "entry") stream.entries.push(event.entry);
        if (event.type === "result") close({ type: "result", result: event.result });
      };
      world.plan({ owner: world.outside, afterMs: arrivesAt - world.now, label: "", run: receive });
    };
    if (process.state === "gone") return cut();
    process.connections.add(cut);
    const serve = (): void => {
      if (process.holdfast === undefined || process.isStopping) return cut();
      const afterSeq = stream.entries.at(-1)?.seq ?? 0;
      const events = process.holdfast.engine.watch({ ...stream, afterSeq, signal: left.signal });
      pump(events, send).catch((error: unknown) => {
        if (error instanceof NotFoundError) close({ type: "gone" });
        else if ((error as { code?: string }).code?.startsWith("store_")) cut();
        else reject(error);
      });
    };
    const label = `is asked for the events of ${stream.taskId.slice(-4)}`;
    world.plan({ owner: process, afterMs: world.between(0.2, 5), label, run: serve });
  });
}

async function pump(events: AsyncIterable<TaskEvent>, send: (event: TaskEvent) => void): Promise<void> {
  for await (const event of events) send(event);
}
