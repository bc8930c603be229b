/**
 * BullMQ as a broker, on Redis. A job is acknowledged (completed) when what it asks for is durable here; one whose worker
 * dies before that is handed to another when its lock has run out. A job without an id of its sender's has a number, which
 * a Redis that was emptied gives out again: its time of creation tells the two apart.
 */
import type { Job, Queue, Worker } from "bullmq";
import { createBackground } from "../platform/background.ts";
import type { Clock } from "../platform/clock.ts";
import { messageOf } from "../platform/errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { queueNames, type Broker, type Consumer, type Reception, type TaskMessage } from "./broker.ts";
import type { Redis } from "./redis.ts";

export interface BullmqDeps {
  readonly redis: Redis;
  readonly prefix: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** After this time without a sign of life of its worker a job is handed to another; milliseconds. */
  readonly lockMs: number;
}

/** Jobs that one process takes at the same time: a submit is a round trip, and many travel together. */
const concurrency = 64;
/** A job that cannot even be read is put aside by BullMQ itself after so many attempts; what is taken in never is. */
const mostStalls = 25;
/** What is done with is kept for whoever looks at the queue: this many jobs. */
const kept = { count: 1_000 };
const stopWithinMs = 5_000;
const complainEveryMs = 60_000;
/** What is said of an outage, and of jobs that were acknowledged, or handed to another, just before it. */
const expected =
  /ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_AGAIN|Connection is closed|Missing (?:lock|key)|Lock mismatch|renew lock|not in the active/;

interface Surroundings {
  readonly clock: Clock;
  readonly isReachable: () => boolean;
}

export async function openBullmq(deps: BullmqDeps): Promise<Broker> {
  const { redis, prefix, clock, log, lockMs } = deps;
  // It is large, and nobody needs it who has no Redis.
  const bullmq = await import("bullmq");
  const link = redis.connect("bullmq");
  const { client } = link;
  const options = { connection: client, prefix };
  const surroundings: Surroundings = { clock, isReachable: () => client.status === "ready" };
  const complain = createComplaints(log, surroundings);
  const openQueue = (name: string): Queue => {
    const queue = new bullmq.Queue(name, options);
    queue.on("error", complain);
    return queue;
  };
  const results = openQueue(queueNames.results);
  const queues = [results];

  return {
    name: "bullmq",
    get isReachable() {
      return surroundings.isReachable();
    },
    consume(agent, receive) {
      const deadMessages = openQueue(queueNames.deadMessages(agent));
      queues.push(deadMessages);
      const take = async (job: Job, token?: string): Promise<unknown> => {
        const message: TaskMessage = { id: idOf(job), body: job.data };
        const reception = await receive(message);
        if (reception.type === "accepted") return reception.receipt;
        if (reception.type === "later") {
          hold.begin(reception.afterMs);
          await job.moveToDelayed(clock.now() + reception.afterMs, token);
          throw new bullmq.DelayedError();
        }
        await keepDead(deadMessages, message, reception);
        throw new bullmq.UnrecoverableError(`${reception.problem.code}: ${reception.problem.detail}`);
      };
      const worker = new bullmq.Worker(queueNames.tasks(agent), take, {
        ...options,
        concurrency,
        lockDuration: lockMs,
        stalledInterval: lockMs / 2,
        maxStalledCount: mostStalls,
        runRetryDelay: 1_000,
        removeOnComplete: kept,
        removeOnFail: kept,
      });
      worker.on("error", complain);
      const hold = createHold(worker, { clock, complain });
      return createConsumer(worker, { ...surroundings, hold });
    },
    async publish(messages) {
      const jobs = messages.map(({ id, key, body }) => ({ name: key, data: body, opts: { jobId: id } }));
      await results.addBulk(jobs);
    },
    async close() {
      // First the connections: what waits for a Redis that is away gives up.
      link.end();
      await Promise.all(queues.map((queue) => queue.close()));
    },
  };
}

/** BullMQ numbers the jobs whose sender gives no id, and takes no number for an id. */
function idOf({ id = "", timestamp }: Job): string {
  return /^\d+$/.test(id) ? `${id}-${timestamp}` : id;
}

/** Under the id of the message: delivered again, it is not kept twice. */
async function keepDead(
  queue: Queue,
  { id, body }: TaskMessage,
  { problem }: Reception & { type: "refused" },
): Promise<void> {
  await queue.add(problem.code, { id, problem, message: body }, { jobId: id });
}

interface Hold {
  begin(forMs: number): void;
  end(): void;
}

/** Stops asking for jobs for a time: while the system refuses them they are better off where they are. */
function createHold(worker: Worker, { clock, complain }: { clock: Clock; complain: (error: unknown) => void }): Hold {
  const background = createBackground((_name, error) => complain(error));
  let cancelTimer: (() => void) | undefined;
  return {
    begin(forMs) {
      if (cancelTimer !== undefined) return;
      cancelTimer = clock.timer(forMs, () => {
        cancelTimer = undefined;
        background.start("resume", () => worker.resume());
      });
      background.start("pause", () => worker.pause(true));
    },
    end: () => cancelTimer?.(),
  };
}

function createConsumer(worker: Worker, { hold, clock, isReachable }: Surroundings & { hold: Hold }): Consumer {
  return {
    async stop() {
      hold.end();
      const gaveUp = new AbortController();
      const closed = worker.close().finally(() => gaveUp.abort());
      // What is not acknowledged by then is delivered again, and known again.
      if (isReachable()) await Promise.race([closed, clock.sleep(stopWithinMs, gaveUp.signal).catch(() => undefined)]);
    },
  };
}

/** Of a Redis that is away its connection has told already, and of what goes on one line a minute is enough. */
function createComplaints(log: Logger, { isReachable, clock }: Surroundings): (error: unknown) => void {
  let last = "";
  let lastAt = Number.NEGATIVE_INFINITY;
  return (error) => {
    const message = messageOf(error);
    const isRepeated = message === last && clock.monotonic() - lastAt < complainEveryMs;
    if (!isReachable() || isRepeated || expected.test(message)) return;
    last = message;
    lastAt = clock.monotonic();
    log.warn({ error: message }, "BullMQ");
  };
}
