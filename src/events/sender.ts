/** Sends what gathers: one batch at a time is on its way, and meanwhile the next gathers. Nobody waits for it. */
import { createBackground } from "../platform/background.ts";
import type { Logger } from "../telemetry/log.ts";
import { logStoreTrouble } from "../telemetry/store-trouble.ts";
import type { Carrier, Message } from "./carrier.ts";

export interface SenderDeps {
  readonly carrier: Carrier;
  readonly log: Logger;
  /** In the log, what cannot be sent. */
  readonly what: string;
  /** Takes all that has gathered. */
  readonly take: () => readonly Message[];
}

export interface Sender {
  /** There is something to send. */
  wake(): void;
  /** Resolves when what was on its way has arrived or is lost. */
  settled(): Promise<void>;
}

export function createSender({ carrier, log, what, take }: SenderDeps): Sender {
  const fail = (error: unknown): void => logStoreTrouble(log, error, `cannot send ${what}`);
  const background = createBackground((_name, error) => fail(error));
  let isSending = false;

  const send = async (): Promise<void> => {
    try {
      for (let messages = take(); messages.length > 0; messages = take()) {
        // What could not be sent is lost; what gathered meanwhile is not.
        await carrier.send(messages).catch(fail);
      }
    } finally {
      isSending = false;
    }
  };

  return {
    wake() {
      if (isSending) return;
      isSending = true;
      background.start(what, send);
    },
    settled: () => background.settled(),
  };
}
