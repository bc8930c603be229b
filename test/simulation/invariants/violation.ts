/** An invariant of docs/operations/testing.md that does not hold. */
export type Invariant = "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I8" | "I9" | "liveness" | "errors";

export interface Violation {
  readonly invariant: Invariant;
  readonly message: string;
}

/** Collects what does not hold, so that a run shows all of it. */
export class Verdict {
  readonly violations: Violation[] = [];

  require(holds: boolean, invariant: Invariant, message: string): void {
    if (!holds) this.violations.push({ invariant, message });
  }
}
