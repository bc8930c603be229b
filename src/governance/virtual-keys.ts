/**
 * Virtual keys: who may call models, which, and for how much. A key is shown once, when it is made; kept is its hash.
 *
 * A call is charged with the most it may come to before it is made, and put right when it is over. The check and the charge
 * are one transaction under the lock of the key's row, so that calls at the same time, in whichever processes, never pass a
 * ceiling together. What a process reserved that died stays charged.
 */
import type { Clock } from "../platform/clock.ts";
import { HoldfastError, NotFoundError, UnavailableError } from "../platform/errors.ts";
import type { NewId } from "../platform/ids.ts";
import { hashSecret, newSecret } from "../platform/secrets.ts";
import type { KeyRefusal, KeyRow, KeyTerms, ReservedKey } from "../store/queries/virtual-keys.ts";
import type { Store } from "../store/store.ts";

export interface VirtualKeys {
  /** The secret is said here and never again. */
  create(terms: KeyTerms): Promise<{ key: KeyRow; secret: string }>;
  /** Newest first; `before` is an id. */
  list(page: { before: string | undefined; limit: number }): Promise<KeyRow[]>;
  /** @throws NotFoundError `key_not_found` */
  revoke(id: string): Promise<void>;
  /**
   * Whose key it is; null: no key is there, and none is needed.
   * @param caller.needed a key is needed even while none exists
   * @throws HoldfastError `key_required`, `key_invalid`
   */
  identify(caller: { secret: string | undefined; needed: boolean }): Promise<KeyRow | null>;
  /**
   * Charges the key with the most that a call may come to.
   * @throws HoldfastError `key_rate_limited`, `key_budget_spent`, `key_price_unknown`, `key_invalid`
   */
  reserve(key: KeyRow, most: CallCost): Promise<Reservation>;
}

export interface CallCost {
  /** Null: the price is unknown. */
  readonly micros: number | null;
  readonly tokens: number;
}

export interface Reservation {
  /** What the key is charged with until then, in micro-dollars. */
  readonly micros: number;
  /** What it came to in the end. Called once, however the call ended. */
  settle(used: CallCost): Promise<void>;
}

export interface VirtualKeyDeps {
  readonly store: Pick<Store, "addKey" | "findKey" | "keys" | "revokeKey" | "reserveKey" | "settleKey">;
  readonly newId: NewId;
  readonly clock: Pick<Clock, "monotonic">;
}

/** So long it is believed that there is no key at all, and nobody is asked again: who has no keys is not to pay for them. */
const keylessMs = 1_000;
const secretPrefix = "hf_";
const shownChars = 10;

export function createVirtualKeys({ store, newId, clock }: VirtualKeyDeps): VirtualKeys {
  let keylessUntil = Number.NEGATIVE_INFINITY;
  let hasCreated = false;
  return {
    async create(terms) {
      hasCreated = true;
      const secret = newSecret(secretPrefix);
      const prefix = secret.slice(0, shownChars);
      return { key: await store.addKey({ ...terms, id: newId(), hash: hashSecret(secret), prefix }), secret };
    },
    list: (page) => store.keys(page),
    async revoke(id) {
      if (!(await store.revokeKey(id))) throw new NotFoundError("key_not_found", `There is no key ${id}.`);
    },
    async identify({ secret, needed }) {
      const hasKey = secret?.startsWith(secretPrefix) === true;
      if (!needed && !hasKey && !hasCreated && clock.monotonic() < keylessUntil) return null;
      const { key, anyKey } = await store.findKey(secret === undefined ? null : hashSecret(secret));
      if (key !== undefined) {
        if (key.revokedAt !== null || key.expired) throw invalidKey(key.revokedAt === null ? "expired" : "revoked");
        return key;
      }
      if (!anyKey && !needed) {
        keylessUntil = clock.monotonic() + keylessMs;
        return null;
      }
      if (secret !== undefined) throw invalidKey("unknown");
      const rule = "Send a virtual key as `Authorization: Bearer hf_…`; `holdfast keys create` makes one";
      throw new HoldfastError("key_required", `This gateway takes calls with a key alone. ${rule}.`);
    },
    async reserve(key, most) {
      if (most.micros === null && hasBudget(key)) throw unknownPrice();
      if (key.tokensPerMinute !== null && most.tokens > key.tokensPerMinute) throw tooLarge(most, key.tokensPerMinute);
      const asked = { id: key.id, micros: most.micros ?? 0, tokens: most.tokens };
      const reserved = await store.reserveKey(asked);
      if (reserved === undefined) throw invalidKey("unknown");
      if (reserved.refusal !== null) throw refusal(reserved.refusal, reserved, key);
      const { day, second } = reserved;
      return {
        micros: asked.micros,
        settle: ({ micros, tokens }) =>
          store.settleKey({
            id: key.id,
            day,
            second,
            // Whatever has no price stays charged with what was reserved for it.
            micros: micros === null ? 0 : micros - asked.micros,
            tokens: tokens - asked.tokens,
          }),
      };
    },
  };
}

/** Whether the key may be used for a model, by the name it was asked for. */
export function allows({ models }: Pick<KeyRow, "models">, model: string): boolean {
  return models.length === 0 || models.some((pattern) => matches(pattern, model));
}

/** `*` stands for any characters; nothing else is special. */
function matches(pattern: string, model: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return model === pattern;
  const last = rest.pop() ?? "";
  if (!model.startsWith(first) || !model.endsWith(last) || model.length < first.length + last.length) return false;
  let at = first.length;
  for (const piece of rest) {
    at = model.indexOf(piece, at);
    if (at < 0) return false;
    at += piece.length;
  }
  return at <= model.length - last.length;
}

export function hasBudget({ dayBudget, monthBudget, totalBudget }: KeyTerms): boolean {
  return dayBudget !== null || monthBudget !== null || totalBudget !== null;
}

function invalidKey(why: "unknown" | "expired" | "revoked"): HoldfastError {
  const reason = why === "unknown" ? "is not known here" : why === "expired" ? "has expired" : "was revoked";
  return new HoldfastError("key_invalid", `This key ${reason}. \`holdfast keys create\` makes another.`);
}

function unknownPrice(): HoldfastError {
  const advice = "State the model's price in the configuration, or use a key without a budget";
  return new HoldfastError(
    "key_price_unknown",
    `The price of this model is unknown, and the key has a budget. ${advice}.`,
  );
}

function refusal(why: KeyRefusal, left: ReservedKey, key: KeyRow): HoldfastError {
  switch (why) {
    case "revoked":
    case "expired":
      return invalidKey(why);
    case "requests":
      return tooFast(`${key.requestsPerMinute} requests`, left.minuteLeftMs);
    case "tokens":
      return tooFast(`${key.tokensPerMinute} tokens`, left.minuteLeftMs);
    case "day":
      return spent("day", left.dayLeftMs);
    case "month":
      return spent("month", left.monthLeftMs);
    case "total":
      return new HoldfastError("key_budget_spent", "The budget of this key does not suffice for the call.");
  }
}

function tooFast(bound: string, afterMs: number): UnavailableError {
  const counted = "What a call may use at most counts until it is over";
  return new UnavailableError("key_rate_limited", `This key may use ${bound} in a minute. ${counted}.`, { afterMs });
}

/** It never fits, however long it waits. */
function tooLarge({ tokens }: CallCost, bound: number): HoldfastError {
  const advice = "Send less, or bound the answer (max_tokens, max_output_tokens)";
  const message = `This key may use ${bound} tokens in a minute, and this call alone ${tokens}. ${advice}.`;
  return new HoldfastError("key_rate_limited", message);
}

/** No program waits until tomorrow: it is told when, and not to try again by itself. */
function spent(window: "day" | "month", afterMs: number): HoldfastError {
  const hours = Math.ceil(afterMs / 3_600_000);
  const message = `This key's budget for the ${window} does not suffice for the call; the next ${window} begins in ${hours} h.`;
  return new HoldfastError("key_budget_spent", message);
}
