/**
 * The port to a message broker, over which tasks come in and results go out. BullMQ is one; whatever delivers a message at
 * least once, takes it back for a while, and keeps what is published can be another.
 */
import type { Json, JsonObject } from "../agent/json.ts";

/** A task that somebody sent. */
export interface TaskMessage {
  /** The same at every delivery, and of no other message to the same agent, ever. */
  readonly id: string;
  /** As it was sent: nothing is known of it. */
  readonly body: unknown;
}

/** What is to become of a message. The broker forgets it only after this is known. */
export type Reception =
  /** It is durable here: the message is done with, and the receipt is kept with it where the broker can. */
  | { readonly type: "accepted"; readonly receipt: JsonObject }
  /** It is wrong and will not become right: it goes to the queue of dead messages, with the reason. */
  | { readonly type: "refused"; readonly problem: JsonObject & { readonly code: string; readonly detail: string } }
  /** Nothing is wrong with it: it is delivered again after this time, and others are not asked for before. */
  | { readonly type: "later"; readonly afterMs: number };

export interface ResultMessage {
  /** A consumer may get a result twice: by this it knows it again. */
  readonly id: string;
  /** Where the broker keeps an order, it does so among those of one key: the session. */
  readonly key: string;
  readonly body: Json;
}

export interface Broker {
  /** By which a task says where its result goes. */
  readonly name: string;
  /** Takes what is sent to an agent, several messages at a time, each perhaps more than once. */
  consume(agent: string, receive: (message: TaskMessage) => Promise<Reception>): Consumer;
  /** False: there is no use in publishing now. */
  readonly isReachable: boolean;
  /** Resolves when the broker has them all. While it is away that takes as long as it takes. */
  publish(results: readonly ResultMessage[]): Promise<void>;
  /** What is being published is given up. */
  close(): Promise<void>;
}

export interface Consumer {
  /** Takes nothing more and waits for what was taken, but not for a broker that is away. */
  stop(): Promise<void>;
}

/** The names of queues and topics, the same with every broker. */
export const queueNames = {
  tasks: (agent: string): string => `agent.tasks.${agent}`,
  deadMessages: (agent: string): string => `agent.tasks.${agent}.dlq`,
  results: "agent.results",
} as const;
