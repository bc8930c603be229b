/** The API of a Holdfast service, typed. */
import type { Json } from "../agent/json.ts";
import { neverAborts } from "../platform/abort.ts";
import { systemClock, type Clock } from "../platform/clock.ts";
import { systemRandom } from "../platform/random.ts";
import { connect, type ApiRequest, type Connection, type ConnectionOptions } from "./connection.ts";
import { streamEvents } from "./event-stream.ts";
import type {
  Accepted,
  Agent,
  AgentDetail,
  AgentResult,
  AnswerBody,
  Approval,
  BatchBody,
  BatchItem,
  CancelBody,
  Drill,
  DrillBody,
  CreatedKey,
  Entry,
  Faults,
  FaultsBody,
  ForkBody,
  GatewayState,
  Key,
  KeyBody,
  Message,
  Page,
  Readiness,
  RetryBody,
  RunBody,
  Session,
  Task,
  TaskBody,
  TaskEvent,
  TaskStatus,
  TaskSummary,
  Unfinished,
  UsageDimension,
  UsagePurpose,
  UsageSum,
} from "./wire.ts";

export interface ClientOptions extends ConnectionOptions {
  /** Time as the pauses between two connections know it; for tests. */
  readonly clock?: Clock;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface SubmitOptions extends CallOptions {
  /** A repeat with the same key answers the same task. */
  readonly idempotencyKey?: string | undefined;
}

/** `cursor` is the `next_cursor` of the page before; `limit` is at most 200, default 50. */
export interface PageQuery {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface TaskQuery extends PageQuery {
  readonly status?: TaskStatus | undefined;
  readonly agent?: string | undefined;
  readonly session_id?: string | undefined;
  readonly user_id?: string | undefined;
}

export interface ApprovalQuery extends PageQuery {
  readonly status?: Approval["status"] | undefined;
  readonly task_id?: string | undefined;
}

/** `from` and `to` are days or times in RFC 3339; `limit` is at most 10,000, default 1,000. */
export interface UsageQuery extends PageQuery {
  readonly by?: readonly UsageDimension[] | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly agent?: string | undefined;
  readonly session_id?: string | undefined;
  readonly user_id?: string | undefined;
  readonly model?: string | undefined;
  readonly purpose?: UsagePurpose | undefined;
}

export type Client = ReturnType<typeof createClient>;

/**
 * A client of the service at `baseUrl`. What the service refuses is thrown as a HoldfastError with its code, its path
 * and whether trying again may help.
 */
export function createClient({ clock = systemClock, ...options }: ClientOptions) {
  const connection = connect(options);
  const streaming = { connection, clock, random: systemRandom };
  return {
    ...workOn(connection),
    ...decideOn(connection),
    ...lookAt(connection),
    ...experimentOn(connection),
    ...keysOn(connection),

    /**
     * What happens in a task, from the beginning or after an entry, until it ends. Connects again by itself, and no entry is
     * lost or comes twice. Ends after the result, or when the signal aborts.
     */
    events: (
      taskId: string,
      { after = 0, signal = neverAborts() }: { after?: number; signal?: AbortSignal } = {},
    ): AsyncGenerator<TaskEvent> => streamEvents(streaming, { taskId, after, signal }),
  };
}

/** Giving work, and steering it. */
function workOn({ send }: Connection) {
  const post = <Answer>(path: string, body: unknown, { idempotencyKey, signal }: SubmitOptions = {}): Promise<Answer> =>
    send<Answer>({ method: "POST", path, body, headers: { "idempotency-key": idempotencyKey }, signal });
  return {
    /** Runs a task and answers its result; with `links` if it has not ended in `wait_ms`. */
    run: (body: RunBody, options?: SubmitOptions) => post<AgentResult | Unfinished>("/run", body, options),
    /** Accepts a task. It is durable when this resolves. */
    submit: (body: TaskBody, options?: SubmitOptions) => post<Accepted>("/tasks", body, options),
    /** Up to 100 tasks at once; one answer for each, in order. */
    submitBatch: async (tasks: BatchBody["tasks"], options?: CallOptions): Promise<BatchItem[]> =>
      (await post<{ items: BatchItem[] }>("/tasks/batch", { tasks }, options)).items,
    cancel: (taskId: string, body: CancelBody = {}) => post<AgentResult>(`${pathOf("tasks", taskId)}/cancel`, body),
    /** Sets a dead letter going again. */
    retry: (taskId: string, body: RetryBody = {}) => post<AgentResult>(`${pathOf("tasks", taskId)}/retry`, body),
    /** A new task from a step of this one. */
    fork: (taskId: string, body: ForkBody = {}) => post<Accepted>(`${pathOf("tasks", taskId)}/fork`, body),
  };
}

/** What waits for a human. */
function decideOn({ send }: Connection) {
  return {
    approvals: (query: ApprovalQuery = {}) => send<Page<Approval>>({ path: "/approvals", query }),
    approval: (id: string) => send<Approval>({ path: pathOf("approvals", id) }),
    answer: (id: string, body: AnswerBody) => send<Approval>({ method: "POST", path: pathOf("approvals", id), body }),
    deadLetters: (query: PageQuery = {}) => send<Page<TaskSummary>>({ path: "/dead-letters", query }),
    /** The task stays failed, and leaves the queue. */
    discard: (taskId: string) => send<undefined>({ method: "DELETE", path: pathOf("dead-letters", taskId) }),
  };
}

/** Who may call models through the gateway's endpoints. */
function keysOn({ send }: Connection) {
  return {
    /** The answer holds the secret, which is shown this once. */
    createKey: (body: KeyBody) => send<CreatedKey>({ method: "POST", path: "/keys", body }),
    keys: (query: PageQuery = {}) => send<Page<Key>>({ path: "/keys", query }),
    revokeKey: (id: string) => send<undefined>({ method: "DELETE", path: pathOf("keys", id) }),
  };
}

/** What there is to see. */
function lookAt({ open, send }: Connection) {
  const usageOf = ({ by = [], ...query }: UsageQuery) => ({ ...query, by: by.length > 0 ? by.join() : undefined });
  const get = <Answer>(path: string, rest: Omit<ApiRequest, "path"> = {}): Promise<Answer> =>
    send<Answer>({ ...rest, path });
  return {
    task: (id: string, { signal }: CallOptions = {}) => get<Task>(pathOf("tasks", id), { signal }),
    tasks: (query: TaskQuery = {}) => get<Page<TaskSummary>>("/tasks", { query }),
    journal: (id: string, query: PageQuery = {}) => get<Page<Entry>>(`${pathOf("tasks", id)}/journal`, { query }),
    /** The whole of a value of which the journal keeps only the beginning. */
    value: (taskId: string, hash: string) => get<Json>(`${pathOf("tasks", taskId)}/values/${encodeURIComponent(hash)}`),
    session: (id: string) => get<Session>(pathOf("sessions", id)),
    /** The messages of the last `limit` completed tasks; the next page is what was said before them. */
    messages: (id: string, query: PageQuery = {}) =>
      get<Page<Message>>(`${pathOf("sessions", id)}/messages`, { query }),
    deleteSession: (id: string) => get<undefined>(pathOf("sessions", id), { method: "DELETE" }),
    agents: () => get<Page<Agent>>("/agents"),
    agent: (name: string) => get<AgentDetail>(pathOf("agents", name)),
    /** What calls to models used and cost, the dearest first. */
    usage: (query: UsageQuery = {}) => get<Page<UsageSum>>("/usage", { query: usageOf(query) }),
    /** The same as comma-separated values. */
    usageCsv: async (query: UsageQuery = {}) =>
      (await open({ path: "/usage", query: { ...usageOf(query), format: "csv" } })).text(),
    /** How the model gateway does; how often its caches hit is told of the last `hours`, default 24. */
    gateway: (query: { hours?: number | undefined } = {}) => get<GatewayState>("/gateway", { query }),
    /** Resolves in either case; `status` says which. */
    ready: ({ signal }: CallOptions = {}) => get<Readiness>("/ready", { signal, accept: [503] }),
  };
}

/** With model calls. */
function experimentOn({ send }: Connection) {
  return {
    faults: () => send<Faults>({ path: "/gateway/faults" }),
    /** Refused with `game_day_off` where the environment has no game day. */
    injectFaults: (body: FaultsBody) => send<Faults>({ method: "PUT", path: "/gateway/faults", body }),
    endFaults: () => send<undefined>({ method: "DELETE", path: "/gateway/faults" }),
    /** With what the drills of the last `hours` came to; default a week. */
    drill: (query: { hours?: number | undefined } = {}) => send<Drill>({ path: "/gateway/drill", query }),
    startDrill: (body: DrillBody = {}) => send<Drill>({ method: "PUT", path: "/gateway/drill", body }),
    endDrill: () => send<undefined>({ method: "DELETE", path: "/gateway/drill" }),
  };
}

function pathOf(resource: string, id: string): string {
  return `/${resource}/${encodeURIComponent(id)}`;
}
