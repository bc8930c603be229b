/**
 * The world the tools act upon, and its book: which effect happened, when, asked for by whom. An effect whose request is on
 * the wire happens even if the process that sent it is dead by then.
 */
import type { JsonObject } from "../../src/agent/json.ts";
import { type Tool, UncertainOutcomeError } from "../../src/tools/define-tool.ts";
import type { CallContext } from "../../src/tools/tool-runner.ts";
import type { Faults } from "./faults.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { World } from "./world.ts";

export interface Effect {
  readonly tool: string;
  readonly key: string;
  /** What the script calls this call. */
  readonly call: string;
  readonly taskId: string;
  readonly tenant: string;
  readonly process: string;
  readonly at: number;
  readonly receipt: number;
}

/** A request for an effect that has not been decided: it may still happen. */
interface Request {
  readonly taskId: string;
  readonly call: string;
  readonly process: SimulatedProcess;
  onTheWire: boolean;
}

/** Who runs a tool, and how that process can be made to die of it. */
export interface Caller {
  readonly process: SimulatedProcess;
  readonly context: CallContext;
  readonly die: () => void;
}

export class Outside {
  readonly effects: Effect[] = [];
  readonly #requests = new Set<Request>();
  readonly #world: World;
  readonly #faults: Faults;

  constructor(world: World, faults: Faults) {
    this.#world = world;
    this.#faults = faults;
  }

  happened(taskId: string, call: string): Effect | undefined {
    return this.effects.find((effect) => effect.taskId === taskId && effect.call === call);
  }

  /** Whoever says "try again" has made sure that the first try is not still under way. */
  mayStillHappen(taskId: string, call: string): boolean {
    return [...this.#requests].some(
      (request) =>
        request.taskId === taskId && request.call === call && (request.onTheWire || request.process.state !== "gone"),
    );
  }

  /** What a tool does when it is run in a process. */
  run(tool: Pick<Tool, "name" | "effect">, input: JsonObject, at: Caller) {
    const world = this.#world;
    const { process, context } = at;
    const { call = "" } = input as { call?: string };
    const request: Request = { taskId: context.taskId, call, process, onTheWire: false };
    this.#requests.add(request);
    return new Promise<{ receipt: number }>((resolve, reject) => {
      const inProcess = (afterMs: number, run: () => void): void => {
        world.plan({ owner: process, afterMs, label: "", run });
      };
      const leave = (run: () => void): void => {
        this.#requests.delete(request);
        run();
      };
      inProcess(world.between(0, 20), () => {
        if (context.signal.aborted) return leave(() => reject(context.signal.reason));
        if (this.#faults.strikes("toolFails")) return leave(() => reject(new Error("It could not be reached.")));
        request.onTheWire = true;
        const takeEffect = (): void => {
          this.#requests.delete(request);
          const { receipt } = this.#takeEffect(tool, { ...request, ...at });
          if (this.#faults.strikes("toolHangs")) return;
          const isUnsure = tool.effect === "once" && this.#faults.strikes("toolUnsure");
          inProcess(world.between(0, 20), () => {
            if (isUnsure) reject(new UncertainOutcomeError("The line went dead."));
            else resolve({ receipt });
          });
        };
        world.plan({ owner: world.outside, afterMs: world.between(0, 40), label: "", run: takeEffect });
        if (this.#faults.strikes("deathInTool")) at.die();
      });
    });
  }

  #takeEffect(
    { name, effect }: Pick<Tool, "name" | "effect">,
    { call, process, context }: { call: string; process: SimulatedProcess; context: CallContext },
  ): Effect {
    const { idempotencyKey: key, taskId, tenant } = context;
    // An idempotent service knows its keys; a `once` one does whatever it is told.
    const before = this.effects.find((each) => each.key === key && each.tool === name);
    if (effect === "idempotent" && before !== undefined) return before;
    const at = this.#world.now;
    const happened = {
      tool: name,
      key,
      call,
      taskId,
      tenant,
      process: process.name,
      at,
      receipt: this.effects.length + 1,
    };
    this.effects.push(happened);
    this.#world.trace(
      this.#world.outside,
      `${name} takes effect: ${call}, for ${process.name}, receipt ${happened.receipt}`,
    );
    return happened;
  }
}
