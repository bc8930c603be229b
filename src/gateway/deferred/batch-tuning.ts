/** How deferred calls use the batch APIs of providers. */
export interface BatchTuning {
  /** How often calls are sent in batches and batches are looked at; milliseconds. */
  readonly everyMs: number;
  /** How long a request to a batch API may take; milliseconds. */
  readonly requestMs: number;
}

export const defaultBatches: BatchTuning = { everyMs: 60_000, requestMs: 120_000 };
