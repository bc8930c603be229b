/** The gateway of an evaluation: what each call used and cost is told, whoever makes it and however it ends. */
import type { Charge } from "../agent/charges.ts";
import { chargesOfAttempts, chargesOfReply } from "../gateway/call-charges.ts";
import { ModelCallError, type ModelGateway, type ModelReply, type ModelRequest } from "../gateway/model-gateway.ts";
import { neverAborts } from "../platform/abort.ts";
import type { Clock } from "../platform/clock.ts";

export interface ChargedGatewayDeps {
  readonly gateway: ModelGateway;
  readonly clock: Clock;
  /** Told once for each call, when it is over. */
  readonly onCharges: (charges: readonly Charge[]) => void;
}

/** A signal that aborts interrupts the call, and does not abort it: so it is known what was used. */
export function chargedGateway({ gateway, clock, onCharges }: ChargedGatewayDeps): ModelGateway {
  return {
    async call(request) {
      const { signal } = request;
      signal.throwIfAborted();
      try {
        const reply = await gateway.call(interruptible(request));
        onCharges(chargesOfReply(reply, clock.now()));
        return unlessAborted(reply, signal);
      } catch (error) {
        if (error instanceof ModelCallError) onCharges(chargesOfAttempts(error.attempts, clock.now()));
        throw error;
      }
    },
  };
}

function interruptible(request: ModelRequest): ModelRequest {
  const { signal, interruption } = request;
  const either = interruption === undefined ? signal : AbortSignal.any([signal, interruption]);
  return { ...request, signal: neverAborts(), interruption: either };
}

function unlessAborted(reply: ModelReply, signal: AbortSignal): ModelReply {
  signal.throwIfAborted();
  return reply;
}
