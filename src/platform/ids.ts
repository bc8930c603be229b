/** Ids are UUIDv7: they sort by time of creation, which keeps indexes compact and listings in order. */
import { v7, validate } from "uuid";
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

export type NewId = () => string;

export const systemId: NewId = () => v7();

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
