/** Ids are UUIDv7: they sort by time of creation, which keeps indexes compact and listings in order. */
import { randomFillSync } from "node:crypto";
import { v7, validate } from "uuid";
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

export type NewId = () => string;

/** Randomness is fetched for many ids at once: each time it takes as long as all the rest of them. */
const randomBytes = Buffer.alloc(16 * 256);
let usedBytes = randomBytes.length;

export const systemId: NewId = () => {
  if (usedBytes === randomBytes.length) {
    randomFillSync(randomBytes);
    usedBytes = 0;
  }
  const random = randomBytes.subarray(usedBytes, (usedBytes += 16));
  const msecs = Date.now();
  // Within a millisecond they count up, from somewhere.
  lastSequence = msecs > lastMs ? random.readUInt32BE(6) >>> 1 : lastSequence + 1;
  lastMs = Math.max(lastMs, msecs);
  return v7({ msecs: lastMs, seq: lastSequence, random });
};

let lastMs = 0;
let lastSequence = 0;

/** Ids made from a given clock and randomness, so that a simulation is reproducible. */
export function createIds(clock: Clock, random: Random): NewId {
  let sequence = 0;
  return () =>
    v7({
      msecs: clock.now(),
      seq: sequence++,
      random: Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256)),
    });
}

export function isId(value: string): boolean {
  return validate(value);
}
