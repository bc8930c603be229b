/** The service itself. */

export interface Readiness {
  /** `degraded`: it works, but what needs a model that is out waits for it. */
  status: "ready" | "degraded" | "not_ready";
  checks: { name: string; ok: boolean; detail: string }[];
}
