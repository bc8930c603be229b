/** The gate as the gateway sees it: a call asks to enter before it goes to a provider, and says how it ended. */

export interface Gate {
  /**
   * Resolves when the call may begin.
   * @throws HoldfastError `model_gate_full` (retry afterMs) when the queue is full or the wait would be longer than
   * `longestWaitMs`; the signal's reason
   */
  enter(call: GateCall): Promise<Pass>;
  /** What stands at each (model, key) that was called lately. */
  status(): readonly GateStatus[];
}

export interface GateCall {
  /** `provider/model`. */
  readonly model: string;
  readonly tenant: string;
  /** What the call may use: its input as estimated, and the most it may answer. */
  readonly tokens: number;
  readonly signal: AbortSignal;
  readonly longestWaitMs: number;
}

/** The right to make one call. */
export interface Pass {
  /** Which of the provider's keys to use: an index into its keys. */
  readonly key: number;
  /** Called exactly once when the call is over, however it ended. */
  leave(end: CallEnd): void;
}

export interface CallEnd {
  /** Null: nobody knows. */
  readonly usedTokens: number | null;
  /** Of the provider's reply, with names in lower case; empty where there was none. */
  readonly headers: Readonly<Record<string, string>>;
  /** The provider refused the call because there were too many. */
  readonly rateLimited: { readonly retryAfterMs: number | null } | null;
}

export interface GateStatus {
  readonly model: string;
  readonly key: number;
  /** Calls of this process that wait for any key of the model. */
  readonly waiting: number;
  /** Calls of this process under way. */
  readonly inFlight: number;
  /** As configured, or learned from the provider; null: none is known. */
  readonly maxConcurrent: number | null;
  readonly requestsPerMinute: number | null;
  readonly tokensPerMinute: number | null;
  /** The provider asked to be left alone for so long. */
  readonly blockedForMs: number;
}

/** Lets everything through, with the provider's first key. */
export const openGate: Gate = {
  enter: ({ signal }) =>
    signal.aborted ? Promise.reject(signal.reason) : Promise.resolve({ key: 0, leave: () => {} }),
  status: () => [],
};
