/**
 * The composition root: builds every part once and hands each what it needs. A Holdfast is a whole in one process; which
 * part of it works (`roles`) is a matter of deployment.
 */
import { createHash } from "node:crypto";
import { hostname } from "node:os";
import { plainRoute } from "./agent/route.ts";
import type { HoldfastConfig } from "./config.ts";
import { defineConfig, toolsOf } from "./config.ts";
import { createDeferral } from "./deferral.ts";
import { openAssigner } from "./engine/assignment/assigner.ts";
import { agentProgram } from "./engine/agent-program.ts";
import type { AgentResult } from "./engine/agent-result.ts";
import { createBacklog } from "./engine/backlog.ts";
import { createConversations } from "./engine/conversations.ts";
import { createEngine, type Engine } from "./engine/engine.ts";
import { overloadLimits, watchOverload, type Overload } from "./engine/overload.ts";
import { openProgram, type OpenProgram } from "./engine/program.ts";
import { queueRules, type QueueRules } from "./engine/queue-rules.ts";
import { keepRetention } from "./engine/retention.ts";
import { defaultRetries, type RetryPolicy } from "./engine/task-run.ts";
import type { TaskRequest } from "./engine/task-request.ts";
import { onlyTenant } from "./engine/tenant.ts";
import type { TaskEvent } from "./engine/watch.ts";
import { Worker } from "./engine/worker.ts";
import { Hub } from "./events/hub.ts";
import { notifyCarrier, redisCarrier } from "./events/carrier.ts";
import { carryNews, type CourierDeps } from "./events/courier.ts";
import { readFeeds } from "./events/feed-reader.ts";
import { Feeds } from "./events/feeds.ts";
import { carryHints } from "./events/hints.ts";
import { savePartials } from "./events/partial-saver.ts";
import { openRedis, type Redis } from "./events/redis.ts";
import type { CacheLookups } from "./gateway/cache/cache-lookups.ts";
import { createPrices, type Prices } from "./gateway/cost.ts";
import { defaultBatches, type BatchTuning } from "./gateway/deferred/batch-tuning.ts";
import type { DeferredCalls } from "./gateway/deferred/deferred-calls.ts";
import type { Experiments } from "./gateway/experiments/experiments.ts";
import type { ModelGateway, ModelStatus } from "./gateway/model-gateway.ts";
import { openGateway } from "./open-gateway.ts";
import { createModelService } from "./model-service.ts";
import { neverAborts } from "./platform/abort.ts";
import { systemClock, type Clock } from "./platform/clock.ts";
import { assert, messageOf } from "./platform/errors.ts";
import { watchEventLoop, type EventLoop } from "./platform/event-loop.ts";
import { systemId, type NewId } from "./platform/ids.ts";
import { systemRandom, type Random } from "./platform/random.ts";
import { processEnvironment, readSettings, type Settings } from "./platform/settings.ts";
import type { BrokerDoor, BrokerDoorDeps } from "./server/broker/broker-door.ts";
import type { ModelService } from "./server/openai/model-service.ts";
import type { Database } from "./store/database.ts";
import { migrate } from "./store/migrate.ts";
import { openPglite } from "./store/pglite.ts";
import { openPostgres } from "./store/postgres.ts";
import { createStore, type Store } from "./store/store.ts";
import { createLogger, type Logger } from "./telemetry/log.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";
import { createToolCatalogue } from "./tools/catalogue.ts";
import { createToolRunner } from "./tools/runner.ts";

export interface HoldfastOptions {
  /** Default: from the environment. */
  readonly settings?: Settings;
  /** What this process does; default all. `api` accepts and shows tasks, `worker` runs them, `gateway` calls models. */
  readonly roles?: readonly Role[];
  /** Only these agents run in this process; default all. */
  readonly hostedAgents?: readonly string[];
  readonly onProgress?: (message: string) => void;
  /** Parts to use instead of the real ones, for tests and simulations. */
  readonly parts?: Partial<Parts>;
  /** How workers behave; see the operations guide before changing any. */
  readonly tuning?: Partial<Tuning>;
}

export type Role = "api" | "worker" | "gateway";

export interface Parts {
  readonly database: Database;
  readonly gateway: ModelGateway;
  readonly clock: Clock;
  readonly random: Random;
  readonly newId: NewId;
  readonly log: Logger;
  readonly eventLoop: EventLoop;
}

export interface Tuning {
  /** How long after its last heartbeat a process is taken for dead; milliseconds. */
  readonly leaseMs: number;
  /** How often the store is asked for what no hint came of; milliseconds. */
  readonly pollMs: number;
  /** How long a stopping process waits for what is in flight; milliseconds. */
  readonly drainMs: number;
  readonly retries: RetryPolicy;
  /** How deferred tasks use the batch APIs of providers. */
  readonly batches: BatchTuning;
}

const defaultTuning: Tuning = {
  leaseMs: 5_000,
  pollMs: 500,
  drainMs: 20_000,
  retries: defaultRetries,
  batches: defaultBatches,
};
const defaultSlots = 256;

/** A task that was submitted, to wait for, watch or cancel. */
export interface TaskHandle {
  readonly id: string;
  /** If it was given to the task at work in its session: the id of the message, as it will stand in that task's journal. */
  readonly messageId: string | null;
  /** The result when the task has ended, or as it stands after `waitMs` (default: no bound). */
  result(options?: { waitMs?: number; signal?: AbortSignal }): Promise<AgentResult>;
  /** Its entries, then deltas and entries as they come, until it ends. */
  events(options?: { afterSeq?: number; signal?: AbortSignal }): AsyncIterable<TaskEvent>;
  cancel(by?: string): Promise<AgentResult>;
}

export interface Holdfast {
  readonly engine: Engine;
  readonly store: Store;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly settings: Settings;
  readonly config: HoldfastConfig;
  /** Undefined in a process that only serves the API. */
  readonly worker: Worker | undefined;
  /** Asked by whoever takes tasks from outside, before reading them. */
  readonly overload: Overload;
  /** Faults and drills of model calls. */
  readonly experiments: Experiments;
  /** How often answers were given again, and prompts found in the providers' caches. */
  readonly caches: CacheLookups;
  /** How the models do that this process called, as it sees them. */
  modelStatus(): readonly ModelStatus[];
  /** Models, and who may call them. */
  readonly models: ModelService;
  /** Accepts a task; it is durable when this resolves. */
  submit(request: TaskRequest): Promise<TaskHandle>;
  task(id: string): TaskHandle;
  /** Stops claiming, lets what is in flight reach a boundary, gives the rest back, closes the store. */
  stop(): Promise<void>;
}

/**
 * Opens the store, migrates it and starts working.
 * @throws InvalidInputError `invalid_config`; HoldfastError `database_unreachable`, `data_directory_locked`, …
 */
export async function createHoldfast(config: HoldfastConfig, options: HoldfastOptions = {}): Promise<Holdfast> {
  defineConfig(config);
  const settings = options.settings ?? readSettings(processEnvironment);
  const parts = assembleParts(config, settings, options);
  const database = options.parts?.database ?? (await openDatabase(settings, { ...options, ...parts }));
  // Each is undone in the reverse order: what brings and does work, and then what it needs to get to its end.
  const work = new AsyncDisposableStack();
  const opened = new AsyncDisposableStack();
  const stop = async (): Promise<void> => {
    try {
      await work.disposeAsync();
    } finally {
      await opened.disposeAsync();
    }
  };
  opened.defer(() => database.close());
  try {
    return await start({ config, options, settings, parts: { ...parts, database }, work, opened, stop });
  } catch (error) {
    await stop().catch((second: unknown) => parts.log.error({ error: messageOf(second) }, "closing broke"));
    throw error;
  }
}

/** With what follows from the configuration; the gateway comes with the store, which it shares limits by. */
interface WorkingParts extends Omit<Parts, "gateway"> {
  readonly prices: Prices;
}

interface Starting {
  readonly config: HoldfastConfig;
  readonly options: HoldfastOptions;
  readonly settings: Settings;
  readonly parts: WorkingParts;
  readonly work: AsyncDisposableStack;
  readonly opened: AsyncDisposableStack;
  readonly stop: () => Promise<void>;
}

async function start(starting: Starting): Promise<Holdfast> {
  const { config, options, settings, parts, work, opened, stop } = starting;
  const { database } = parts;
  await migrate(database);
  const store = createStore(database);
  // The lock of the data directory proves that nobody else lives: what a killed process left goes on at once.
  if (database.kind === "embedded") await store.reapAll();

  const hub = new Hub();
  const metrics = createMetrics();
  opened.defer(() => metrics.close());
  const tuning = { ...defaultTuning, ...options.tuning };
  const tools = createToolRunner({
    catalogue: createToolCatalogue(toolsOf(config)),
    clock: parts.clock,
    keepLarge: (owner, content) => keepLarge(store, owner, content),
  });
  const agents = new Map(config.agents.map((agent) => [agent.name, agent]));
  const feeds = new Feeds(hub);
  const rules = queueRules(config);
  const opening = { ...starting, gateway: options.parts?.gateway, store, metrics };
  const { gateway, experiments, caches, resilience, modelStatus } = openGateway(opening);
  const shared = { ...parts, gateway, store, hub, feeds, metrics, tools, agents, rules, pollMs: tuning.pollMs };
  const deferral = createDeferral({ ...shared, resilience, settings, batches: tuning.batches });
  const worker = startWorker({ ...shared, deferred: deferral.calls, config, options, tuning, settings });
  work.defer(() => worker?.stop());
  if (worker !== undefined) opened.defer(deferral.keep());
  const models = createModelService({ ...shared, resilience, settings, config });
  const assigner = openAssigner({ ...shared, ...models, config });
  const engine = createEngine({ ...shared, worker, backlog: createBacklog(shared), assigner });
  const limits = config.overload === false ? undefined : overloadLimits(config.overload ?? {});
  const overload = watchOverload({ ...shared, limits });
  work.defer(() => overload.stop());
  const redis = settings.redisUrl === null ? undefined : await openRedis({ url: settings.redisUrl, log: parts.log });
  opened.defer(() => redis?.close());
  const runsHere = (taskId: string): boolean => worker?.tenantOf(taskId) !== undefined;
  opened.defer(readFeeds({ ...shared, runsHere }));
  opened.defer(await startMessages({ ...shared, redis, settings, runsHere }, database));
  const hosted = worker === undefined ? [] : (options.hostedAgents ?? [...agents.keys()]);
  const door = await openDoor(
    { ...shared, engine, overload, agents: hosted },
    { redis, settings, lockMs: tuning.leaseMs },
  );
  opened.defer(() => door?.close());
  work.defer(() => door?.stopTaking());
  opened.defer(savePartials(shared));
  opened.defer(keepRetention({ ...shared, retention: settings.retention }));
  return {
    engine,
    store,
    metrics,
    log: parts.log,
    settings,
    config,
    worker,
    overload,
    experiments,
    caches,
    modelStatus,
    models,
    async submit(request) {
      const { task, messageId } = await engine.submit(onlyTenant, request);
      return taskHandle(engine, task.taskId, messageId);
    },
    task: (id) => taskHandle(engine, id),
    stop,
  };
}

function assembleParts(
  { models }: HoldfastConfig,
  settings: Settings,
  { parts = {} }: HoldfastOptions,
): Omit<WorkingParts, "database"> {
  const clock = parts.clock ?? systemClock;
  const prices = createPrices(models);
  const random = parts.random ?? systemRandom;
  return {
    clock,
    random,
    prices,
    newId: parts.newId ?? systemId,
    log: parts.log ?? createLogger({ level: settings.logLevel, format: settings.logFormat }),
    eventLoop: parts.eventLoop ?? watchEventLoop(),
  };
}

/** The database that the settings name; not migrated. @throws HoldfastError `database_unreachable`, `data_directory_locked` */
export async function openDatabase(
  { databaseUrl, dataDir }: Pick<Settings, "databaseUrl" | "dataDir">,
  { onProgress, log, clock, random }: Pick<Parts, "log" | "clock" | "random"> & Pick<HoldfastOptions, "onProgress">,
): Promise<Database> {
  if (databaseUrl !== null)
    return openPostgres({ url: databaseUrl, clock, random, log: (message) => log.warn(message) });
  return openPglite({ dataDir, ...(onProgress !== undefined && { onProgress }) });
}

interface MessageParts extends Omit<CourierDeps, "carrier" | "process"> {
  readonly newId: NewId;
  readonly redis: Redis | undefined;
  readonly settings: Settings;
}

/** Hints of other processes, and news of the tasks they run: there are none beside an embedded database. */
async function startMessages(parts: MessageParts, database: Database): Promise<() => Promise<void>> {
  const { newId, redis, settings } = parts;
  if (database.kind === "embedded") return () => Promise.resolve();
  const carrier = redis === undefined ? notifyCarrier(database) : redisCarrier(redis, settings.redisPrefix);
  const stops = await Promise.all([
    carryHints({ ...parts, carrier, process: newId() }),
    carryNews({ ...parts, carrier, process: newId() }),
  ]);
  return async () => {
    for (const stop of stops) await stop();
  };
}

/** To BullMQ, where there is a Redis. */
async function openDoor(
  parts: Omit<BrokerDoorDeps, "broker">,
  { redis, settings, lockMs }: { redis: Redis | undefined; settings: Settings; lockMs: number },
): Promise<BrokerDoor | undefined> {
  if (redis === undefined) return undefined;
  const [{ openBullmq }, { openBrokerDoor }] = await Promise.all([
    import("./events/bullmq.ts"),
    import("./server/broker/broker-door.ts"),
  ]);
  const broker = await openBullmq({ ...parts, redis, lockMs, prefix: settings.redisPrefix });
  return openBrokerDoor({ ...parts, broker });
}

interface WorkerParts extends WorkingParts {
  readonly gateway: ModelGateway;
  readonly deferred: DeferredCalls;
  readonly store: Store;
  readonly hub: Hub;
  readonly metrics: Metrics;
  readonly tools: ReturnType<typeof createToolRunner>;
  readonly agents: ReadonlyMap<string, HoldfastConfig["agents"][number]>;
  readonly rules: QueueRules;
  readonly config: HoldfastConfig;
  readonly options: HoldfastOptions;
  readonly tuning: Tuning;
  readonly settings: Settings;
}

function startWorker(parts: WorkerParts): Worker | undefined {
  const { store, config, options, tuning, settings, agents } = parts;
  if (options.roles?.includes("worker") === false) return undefined;
  const conversations = createConversations({ store });
  const defaultRoute = plainRoute(settings.defaultRoute.length > 0 ? settings.defaultRoute : ["rules/default"]);
  const open: OpenProgram = async (task) => {
    const agent = agents.get(task.agent);
    assert(
      agent !== undefined,
      `Task ${task.id} of agent "${task.agent}" was claimed by a process that does not host it.`,
    );
    const history = await conversations.before(task, { ...agent.limits, ...task.input.limits });
    return openProgram(agentProgram({ deps: { ...parts, defaultRoute }, agent, task, history }));
  };
  const worker = new Worker({
    ...parts,
    conversations,
    lock: parts.database.holdLock(),
    openProgram: open,
    queue: parts.rules,
    settings: {
      ...tuning,
      agents: options.hostedAgents ?? [...agents.keys()],
      slots: config.slots ?? defaultSlots,
      info: { host: hostname(), pid: process.pid, agents: [...(options.hostedAgents ?? agents.keys())] },
    },
  });
  worker.start();
  return worker;
}

async function keepLarge(
  store: Store,
  { tenant, taskId }: { tenant: string; taskId: string },
  content: string,
): Promise<string> {
  const hash = createHash("sha256").update(content).digest("hex");
  await store.keepLarge({ tenant, taskId, hash, content });
  return hash;
}

function taskHandle(engine: Engine, id: string, messageId: string | null = null): TaskHandle {
  const address = { tenant: onlyTenant, taskId: id };
  const never = neverAborts();
  return {
    id,
    messageId,
    result: ({ waitMs = Number.POSITIVE_INFINITY, signal = never } = {}) =>
      engine.awaitResult({ ...address, messageId, waitMs, signal }),
    events: ({ afterSeq = 0, signal = never } = {}) => engine.watch({ ...address, afterSeq, signal }),
    cancel: (by = "the program") => engine.cancel(address, by),
  };
}
