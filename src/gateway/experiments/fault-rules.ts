/** Which faults there may be, as the configuration and the API spell them, checked and filled in. */
import { InvalidInputError } from "../../platform/errors.ts";
import type { ModelErrorCode } from "../model-gateway.ts";

/** What `gateway.faults` takes. */
export interface FaultOptions {
  /** `provider/model`; a `*` stands for any characters, as in "openai/*". */
  readonly model: string;
  /**
   * `latency`: the attempt begins later. `error`: it fails as if the provider had refused it. `cut`: its reply breaks off.
   * `hang`: it gives nothing, or nothing more, until its time is over.
   */
  readonly kind: FaultKind;
  /** Of the attempts; default 1, all of them. */
  readonly share?: number;
  /** With `latency`: how long, and up to how much longer by lot; milliseconds. Default 1,000 and 0. */
  readonly ms?: number;
  readonly jitterMs?: number;
  /** With `error`: which; default "model_unavailable". */
  readonly error?: ModelErrorCode;
  /** With `error`: what the provider asks to wait; milliseconds. */
  readonly retryAfterMs?: number;
  /** With `cut` and `hang`: after so many pieces of the reply; default 3 and 0. */
  readonly after?: number;
  /** How long it lasts, from the start of the process or the request on; milliseconds. Default 15 minutes, at most a day. */
  readonly forMs?: number;
}

export const faultKinds = ["latency", "error", "cut", "hang"] as const;
export type FaultKind = (typeof faultKinds)[number];

interface Common {
  readonly model: string;
  readonly share: number;
  readonly forMs: number;
}

export type Fault = Common &
  (
    | { readonly kind: "latency"; readonly ms: number; readonly jitterMs: number }
    | { readonly kind: "error"; readonly error: ModelErrorCode; readonly retryAfterMs: number | null }
    | { readonly kind: "cut" | "hang"; readonly after: number }
  );

export const injectableErrors = [
  "model_unavailable",
  "model_rate_limited",
  "model_content_policy",
  "model_context_too_long",
  "model_auth",
  "model_bad_request",
] as const satisfies readonly ModelErrorCode[];

const defaultForMs = 15 * 60_000;
export const longestForMs = 86_400_000;
export const mostFaults = 50;
const longestLatencyMs = 600_000;

/** Which fields a kind has besides those of all, and the most each may be. */
const fieldsOf: Record<FaultKind, Readonly<Record<string, number>>> = {
  latency: { ms: longestLatencyMs, jitterMs: longestLatencyMs },
  error: { error: 0, retryAfterMs: longestForMs },
  cut: { after: 1_000_000 },
  hang: { after: 1_000_000 },
};

/** @throws InvalidInputError `invalid_fault` with the path of what is wrong, under `path` */
export function parseFaults(options: readonly FaultOptions[], path: string): Fault[] {
  if (options.length > mostFaults) throw invalid(path, `holds ${options.length} faults; ${mostFaults} is the most`);
  return options.map((each, index) => parseFault(each, `${path}/${index}`));
}

function parseFault(options: FaultOptions, path: string): Fault {
  const { model, kind, share = 1, forMs = defaultForMs, error = "model_unavailable" } = options;
  if (!/^[^\s]+$/.test(model)) throw invalid(`${path}/model`, 'must be "provider/model", where * stands for anything');
  if (!faultKinds.includes(kind)) throw invalid(`${path}/kind`, `must be one of ${faultKinds.join(", ")}`);
  if (!injectableErrors.includes(error))
    throw invalid(`${path}/error`, `must be one of ${injectableErrors.join(", ")}`);
  requireWithin(share, 1, `${path}/share`);
  requireWithin(forMs, longestForMs, `${path}/forMs`);
  const own = fieldsOf[kind];
  for (const [name, value] of Object.entries(options)) {
    if (["model", "kind", "share", "forMs"].includes(name) || value === undefined) continue;
    const most = own[name];
    if (most === undefined) throw invalid(`${path}/${name}`, `is not a field of a fault of kind "${kind}"`);
    if (name !== "error") requireWithin(value, most, `${path}/${name}`);
  }
  const common = { model, share, forMs };
  switch (kind) {
    case "latency":
      return { ...common, kind, ms: options.ms ?? 1_000, jitterMs: options.jitterMs ?? 0 };
    case "error":
      return { ...common, kind, error, retryAfterMs: options.retryAfterMs ?? null };
    case "cut":
    case "hang":
      return { ...common, kind, after: options.after ?? (kind === "cut" ? 3 : 0) };
  }
}

function requireWithin(value: unknown, most: number, path: string): void {
  if (typeof value === "number" && value >= 0 && value <= most) return;
  throw invalid(path, `is ${JSON.stringify(value)}, but must be a number from 0 to ${most}`);
}

function invalid(path: string, rule: string): InvalidInputError {
  return new InvalidInputError("invalid_fault", `${path} ${rule}.`, path);
}
