/** Who calls: by the virtual key that came with the request. */
import type { IncomingHttpHeaders } from "node:http";
import { onlyTenant } from "../../engine/tenant.ts";
import { allows, type CallCost, type Reservation } from "../../governance/virtual-keys.ts";
import { HoldfastError } from "../../platform/errors.ts";
import type { KeyRow } from "../../store/queries/virtual-keys.ts";
import type { ServerDeps } from "../http/server-deps.ts";

export interface Caller {
  readonly tenant: string;
  /** Null: no key exists, and none is needed. */
  readonly key: KeyRow | null;
}

/** @throws HoldfastError `key_required`, `key_invalid` */
export async function identify({ service, keysNeeded }: ServerDeps, headers: IncomingHttpHeaders): Promise<Caller> {
  const secret = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
  const key = await service.models.keys.identify({ secret, needed: keysNeeded() });
  return { tenant: key?.tenant ?? onlyTenant, key };
}

/** @throws HoldfastError `key_model_denied` */
export function requireAllowed({ key }: Caller, model: string): void {
  if (key === null || allows(key, model)) return;
  const message = `This key may not be used for ${JSON.stringify(model)}, only for: ${key.models.join(", ")}.`;
  throw new HoldfastError("key_model_denied", message, { path: "/model" });
}

const freeOfCharge: Reservation = { micros: 0, settle: () => Promise.resolve() };

/**
 * Charges the caller's key, if there is one, with the most that a call may come to.
 * @param most asked only where there is a key: to know it the whole conversation is measured
 * @throws what `VirtualKeys.reserve` does
 */
export async function reserve({ service }: ServerDeps, { key }: Caller, most: () => CallCost): Promise<Reservation> {
  return key === null ? freeOfCharge : service.models.keys.reserve(key, most());
}
