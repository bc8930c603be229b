/**
 * A bounded queue in which tenants take turns, one call each. When it is full, it is the tenant with the most waiting calls
 * who gives way: its newest one is put out for that of another.
 */

export interface Queued {
  readonly tenant: string;
}

export class TenantQueue<Call extends Queued> {
  readonly #most: number;
  /** In the order of their turns; the calls of each in the order they came. */
  readonly #tenants = new Map<string, Set<Call>>();
  #size = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  /** How many calls are served before the next one of this tenant. */
  ahead(tenant: string): number {
    const own = this.#tenants.get(tenant)?.size ?? 0;
    let count = own;
    for (const [name, calls] of this.#tenants) if (name !== tenant) count += Math.min(calls.size, own + 1);
    return count;
  }

  /** @returns the call for which there is no place: another's, or this one itself; undefined: there was place */
  push(call: Call): Call | undefined {
    let out: Call | undefined;
    if (this.#size >= this.#most) {
      const own = this.#tenants.get(call.tenant)?.size ?? 0;
      const longest = [...this.#tenants.values()].reduce((a, b) => (b.size > a.size ? b : a));
      if (longest.size <= own + 1) return call;
      out = [...longest].at(-1);
      if (out !== undefined) this.remove(out);
    }
    const calls = this.#tenants.get(call.tenant) ?? new Set();
    if (calls.size === 0) this.#tenants.set(call.tenant, calls);
    calls.add(call);
    this.#size++;
    return out;
  }

  /** The calls whose turns come next. */
  upcoming(most: number): Call[] {
    const order: Call[] = [];
    let going = [...this.#tenants.values()].map((calls) => calls.values());
    while (going.length > 0) {
      const next: typeof going = [];
      for (const calls of going) {
        const { value, done } = calls.next();
        if (done === true) continue;
        if (order.push(value) === most) return order;
        next.push(calls);
      }
      going = next;
    }
    return order;
  }

  first(): Call | undefined {
    const [calls] = this.#tenants.values();
    return calls?.values().next().value;
  }

  /** Takes a call; then it is the turn of other tenants. */
  take(call: Call): void {
    const calls = this.#tenants.get(call.tenant);
    if (!this.remove(call)) return;
    this.#tenants.delete(call.tenant);
    if (calls !== undefined && calls.size > 0) this.#tenants.set(call.tenant, calls);
  }

  /** False: it was not there. */
  remove(call: Call): boolean {
    const calls = this.#tenants.get(call.tenant);
    if (calls?.delete(call) !== true) return false;
    if (calls.size === 0) this.#tenants.delete(call.tenant);
    this.#size--;
    return true;
  }
}
