/** Model calls that go through a provider's batch API. They are slow, so nothing here is in a hurry. */
import { assert } from "../platform/errors.ts";
import type { Database, Statement } from "./database.ts";
import {
  batchSentStatement,
  dueBatchesStatement,
  endBatchStatements,
  keepDeferredStatements,
  knownBatchesStatement,
  landDeferredStatement,
  openCallsStatement,
  putBackStatements,
  takeDeferredStatement,
  wakeDeferredStatement,
  withdrawDeferredStatements,
  type DeferredCall,
  type DueBatch,
  type Landing,
  type LateCall,
  type TakenCall,
} from "./queries/deferred.ts";

/** What is known of a call. */
export interface DeferredState {
  readonly outcome: object | null;
  /** Null: it is yet to be sent. */
  readonly batchId: string | null;
}

export function createDeferred(database: Database) {
  const stateAfter = async (statements: Statement[]): Promise<DeferredState> => {
    const [state] = ((await database.batch(statements)).at(-1) ?? []) as unknown as DeferredState[];
    assert(state !== undefined, "A deferred call that was written down is not there.");
    return state;
  };
  return {
    keepDeferred: (call: DeferredCall) => stateAfter(keepDeferredStatements(call)),
    withdrawDeferred: (id: string) => stateAfter(withdrawDeferredStatements(id)),
    takeDeferred: (take: { batchId: string; provider: string; most: number; settleMs: number }) =>
      database.query<TakenCall>(takeDeferredStatement(take)),
    batchSent: (sent: { batchId: string; providerId: string; pollMs: number }) =>
      database.query(batchSentStatement(sent)),
    putBack: (batch: { batchId: string; alone: boolean }) => database.batch(putBackStatements(batch)),
    dueBatches: (take: { most: number; pollMs: number }) => database.query<DueBatch>(dueBatchesStatement(take)),
    /** Which of these are known here. */
    knownBatches: async (providerIds: readonly string[]) =>
      (await database.query<{ providerId: string }>(knownBatchesStatement(providerIds))).map((row) => row.providerId),
    openCalls: async (batchId: string) =>
      (await database.query<{ id: string }>(openCallsStatement(batchId))).map(({ id }) => id),
    landDeferred: (landings: readonly Landing[]) => database.query<LateCall>(landDeferredStatement(landings)),
    endBatch: (end: { batchId: string; outcome: object }) => database.batch(endBatchStatements(end)),
    /** How many tasks may go on. */
    wakeDeferred: async () => (await database.query(wakeDeferredStatement())).length,
  };
}
