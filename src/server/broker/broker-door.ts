/** The door to a broker: takes the tasks of the agents that run here, and publishes results. */
import type { Engine } from "../../engine/engine.ts";
import type { Overload } from "../../engine/overload.ts";
import type { Broker } from "../../events/broker.ts";
import type { Hub } from "../../events/hub.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Store } from "../../store/store.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import { publishResults } from "./result-publisher.ts";
import { createIntake } from "./task-intake.ts";

export interface BrokerDoorDeps {
  readonly broker: Broker;
  readonly engine: Engine;
  readonly overload: Pick<Overload, "admit">;
  readonly store: Store;
  readonly hub: Hub;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly pollMs: number;
  /** Those whose tasks this process takes; none where it runs no tasks. */
  readonly agents: readonly string[];
}

export interface BrokerDoor {
  /** Takes no more tasks. */
  stopTaking(): Promise<void>;
  /** Publishes the results that there are, and lets go of the broker. */
  close(): Promise<void>;
}

export function openBrokerDoor(deps: BrokerDoorDeps): BrokerDoor {
  const { broker, agents } = deps;
  const publisher = publishResults(deps);
  const intake = { ...deps, carrier: broker.name, onAccepted: (taskId: string) => publisher.watch(taskId) };
  const consumers = agents.map((agent) => broker.consume(agent, createIntake(intake, agent)));
  return {
    async stopTaking() {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
    },
    async close() {
      await publisher.stop();
      await broker.close();
    },
  };
}
