/**
 * How many second attempts a model is given. Each call pays in a share of one, each repeat takes a whole one out: while most
 * calls succeed nobody notices, and in an outage the load on the model grows by that share and no more.
 */
export interface RetryBudgetSettings {
  /** What a call pays in. */
  readonly share: number;
  /** The most there can be, and what there is at first. */
  readonly most: number;
}

export const defaultRetryBudget: RetryBudgetSettings = { share: 0.2, most: 20 };

export class RetryBudget {
  readonly #settings: RetryBudgetSettings;
  #balance: number;

  constructor(settings: RetryBudgetSettings) {
    this.#settings = settings;
    this.#balance = settings.most;
  }

  /** A call begins that is no repeat. */
  payIn(): void {
    this.#balance = Math.min(this.#settings.most, this.#balance + this.#settings.share);
  }

  /** @returns whether there was a repeat left to take */
  take(): boolean {
    if (this.#balance < 1) return false;
    this.#balance -= 1;
    return true;
  }

  /** Repeats that are left. */
  get left(): number {
    return Math.floor(this.#balance);
  }
}
