/** What the simulation of many sessions takes for given: what people and models do, and what a flush and a step cost. */

/** What an agent's users and its models do. */
export interface Workload {
  readonly sessions: number;
  /** Sessions belong to tenants whose sizes follow Zipf's law: the n-th largest has 1/n of the sessions of the largest. */
  readonly tenants: number;
  /** Mean time between an answer and the next message of a session, exponentially distributed. */
  readonly thinkMs: number;
  /** Model turns of a task; each but the last asks for one tool that only reads. */
  readonly turns: number;
  /** Median time of a model turn and of a tool; both are log-normal with the sigma below. */
  readonly modelMs: number;
  readonly toolMs: number;
  readonly sigma: number;
}

/** What the machines are. */
export interface Plant {
  /** Databases; the tenants are divided among them. */
  readonly databases: number;
  /** Cores of each database. */
  readonly cores: number;
  /** Worker processes of each database; each runs its JavaScript on one core. */
  readonly workers: number;
}

/** A flush that carries n items takes `fixedMs + n * itemMs` of a core of the database. */
export interface FlushCost {
  readonly fixedMs: number;
  readonly itemMs: number;
}

/** The writes of a task: one submit, one append per turn but the last, one finish. */
export type Write = "submit" | "append" | "finish";

export interface Costs {
  readonly flush: Readonly<Record<Write, FlushCost>>;
  /** CPU time of the worker's process per write. */
  readonly workerMs: number;
  readonly walBytesPerTask: number;
  readonly storedBytesPerTask: number;
}

export interface Outcome {
  readonly tasksPerSecond: number;
  /**
   * The share of the busiest database's cores that the writes need however well they travel together: what is left is room
   * to grow. Busy it is for longer, since what could wait and travel together need not while there is room.
   */
  readonly databaseLoad: number;
  readonly databaseBusy: number;
  /** The share of time that the busiest worker's core is in use. */
  readonly workerBusy: number;
  /** Tasks that run at the same time, over all workers; each holds a slot. */
  readonly mostInFlight: number;
  /** What a task waits for durability and for the worker's CPU, all its steps together. */
  readonly overheadP50Ms: number;
  readonly overheadP99Ms: number;
  readonly itemsPerFlush: number;
}
