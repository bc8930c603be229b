/**
 * Faults that a store or an engine like this one could well have, each planted by itself to see that the simulation finds
 * it. The invariants named are those one of which must be found broken.
 */
import type { Invariant } from "./invariants/violation.ts";
import type { PlantOptions } from "./plant.ts";

export interface PlantedBug extends PlantOptions {
  readonly name: string;
  readonly breaks: readonly Invariant[];
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "an append does not check the epoch",
    breaks: ["I2", "I3"],
    rewrites: [
      {
        find: "where ((i.task_id, i.epoch) in (select id, epoch from held)) is true",
        replace: "where (i.task_id in (select id from held)) is true",
      },
    ],
  },
  {
    name: "a finish does not check the epoch",
    breaks: ["I1", "I2", "I3"],
    climate: { lateWrite: "finish" },
    rewrites: [
      { find: "and t.epoch = ($2::int[])[array_position($1::uuid[], t.id)]", replace: "and $2::int[] is not null" },
    ],
  },
  {
    name: "a task that has ended can end again",
    breaks: ["I1"],
    rewrites: [
      { find: "and t.epoch = ($2::int[])[array_position($1::uuid[], t.id)]", replace: "and $2::int[] is not null" },
      { find: "and t.status = 'running' and t.unheard = 0", replace: "" },
    ],
  },
  {
    name: "a park does not check the epoch",
    breaks: ["I2", "I3", "I7"],
    climate: { lateWrite: "park" },
    rewrites: [
      {
        find: "from task where id = $1 and epoch = $2 and status = 'running' for no key update",
        replace: "from task where id = $1 and $2::int > 0 and status = 'running' for no key update",
      },
    ],
  },
  {
    name: "a claim takes what another worker runs",
    breaks: ["I3"],
    rewrites: [
      {
        find: "t.status = 'pending' and t.is_head and t.agent = a.agent and t.tenant = s.tenant",
        replace: "t.status in ('pending', 'running') and t.is_head and t.agent = a.agent and t.tenant = s.tenant",
      },
      { find: "coalesce(t.status, '') = 'pending'", replace: "t.status in ('pending', 'running')" },
    ],
  },
  {
    name: "a claim does not raise the epoch",
    breaks: ["I3"],
    rewrites: [
      { find: "lease_owner = $1, epoch = t.epoch + 1", replace: "lease_owner = $1, epoch = greatest(t.epoch, 1)" },
    ],
  },
  {
    name: "a worker whose lease has ended claims tasks",
    breaks: ["liveness", "I3"],
    climate: { faults: ["pause"] },
    rewrites: [{ find: "as found from claimant", replace: "as found" }],
  },
  {
    name: "leases of the dead are never taken over",
    breaks: ["liveness"],
    rewrites: [{ find: "expires_at <= holdfast_now() or lock_key = any", replace: "false or lock_key = any" }],
  },
  {
    name: "leases of the living are taken over",
    breaks: ["I3"],
    rewrites: [{ find: "expires_at <= holdfast_now() or lock_key = any", replace: "true or lock_key = any" }],
  },
  {
    name: "a cancel of a running task is forgotten",
    breaks: ["I7"],
    rewrites: [
      {
        find: "update task t set cancel_requested_by = coalesce(t.cancel_requested_by, $3), wake_at = null",
        replace: "update task t set cancel_requested_by = null, wake_at = null",
      },
    ],
  },
  {
    name: "a cancel passes over a task that waits",
    breaks: ["I7"],
    rewrites: [{ find: "and target.status in ('pending', 'waiting')", replace: "and target.status = 'pending'" }],
  },
  {
    name: "a cancelled task's questions stay open",
    breaks: ["I7"],
    rewrites: [
      {
        find: "update approval a set status = 'cancelled' from ended where a.task_id = ended.id",
        replace: "update approval a set status = 'cancelled' from ended where false",
      },
    ],
  },
  {
    name: "a later task of a session goes first",
    breaks: ["I5"],
    climate: { tenants: 1, sessions: 1 },
    rewrites: [{ find: "order by t.position limit 1", replace: "order by t.position desc limit 1" }],
  },
  {
    name: "every new task may run at once, whatever its session does",
    breaks: ["I5"],
    rewrites: [{ find: "c.open_tasks = f.together and f.place = 1 as is_head", replace: "true as is_head" }],
  },
  {
    name: "the next task of a session is never let go",
    breaks: ["liveness"],
    rewrites: [
      { find: "and ended.status in ('completed', 'failed', 'cancelled')", replace: "and ended.status = 'failed'" },
    ],
  },
  {
    name: "an approval can be answered twice",
    breaks: ["I2", "I3", "I7"],
    climate: { agent: "asking" },
    rewrites: [
      { find: "and a.task_id = $3 and a.status = 'pending' and t.status = 'waiting'", replace: "and a.task_id = $3" },
    ],
  },
  {
    name: "an answer does not wake its task",
    breaks: ["liveness"],
    rewrites: [
      {
        find: "update task t set status = 'pending', wake_at = null from asked",
        replace: "update task t set wake_at = null from asked",
      },
    ],
  },
  {
    name: "an answer leaves a gap in the journal",
    breaks: ["I2"],
    rewrites: [
      {
        find: "(select coalesce(max(e.seq), 0) + 1 from entry e where e.task_id = asked.task_id), epoch, 'answer'",
        replace: "(select coalesce(max(e.seq), 0) + 2 from entry e where e.task_id = asked.task_id), epoch, 'answer'",
      },
    ],
  },
  {
    name: "tasks that wait for a time are never woken",
    breaks: ["liveness"],
    rewrites: [{ find: "where status = 'waiting' and wake_at <= (select holdfast_now())", replace: "where false" }],
  },
  {
    name: "an idempotency key is not kept",
    breaks: ["I7"],
    rewrites: [
      {
        find: "p.idempotency_key, p.request_hash, p.forked_from, p.result_to",
        replace: "null, p.request_hash, p.forked_from, p.result_to",
      },
    ],
  },
  {
    name: "a submit is acknowledged before it is committed",
    breaks: ["I1", "I7"],
    answersEarly: "submit",
  },
  {
    name: "entries are acknowledged before they are committed",
    breaks: ["I2", "I4", "I7"],
    answersEarly: "append",
  },
  {
    name: "an entry that was written is written over",
    breaks: ["I2"],
    rewrites: [
      {
        find: "where ((i.task_id, i.epoch) in (select id, epoch from held)) is true\n  on conflict do nothing",
        replace: `where (i.task_id in (select id from held)) is true
                  on conflict (task_id, seq) do update set body = excluded.body, kind = excluded.kind`,
      },
    ],
  },
  {
    name: "the intent of a once tool is not journaled",
    breaks: ["I4"],
    wrapTool: (tool) => (tool.name === "pay" ? { ...tool, effect: "idempotent" } : tool),
  },
  {
    name: "an idempotency key differs from process to process",
    breaks: ["I4"],
    wrapTool: (tool, process) => ({
      ...tool,
      run: (input, context) => tool.run(input, { ...context, idempotencyKey: `${context.idempotencyKey}-${process}` }),
    }),
  },
  {
    name: "what a model used is not counted",
    breaks: ["I6"],
    wrapUsage: (usage) => ({ ...usage, outputTokens: { ...usage.outputTokens, total: 1 } }),
  },
  {
    name: "a turn is not charged",
    breaks: ["I9"],
    rewrites: [
      {
        find: "join held t on t.id = c.task_id",
        replace: "join held t on t.id = c.task_id and c.seq > 1",
      },
    ],
  },
  {
    name: "a turn is charged again when its answer was lost",
    breaks: ["I9"],
    rewrites: [
      {
        find: "join held t on t.id = c.task_id\n  where ((c.task_id, c.seq) in (select task_id, seq from written)) is true",
        replace: "join held t on t.id = c.task_id",
      },
    ],
  },
  {
    name: "what a task used at its end is not charged",
    breaks: ["I9"],
    rewrites: [{ find: "join ended t on t.id = c.task_id", replace: "join ended t on false" }],
  },
  {
    name: "the loss of a worker is charged again by the next one",
    breaks: ["I9"],
    climate: { faults: ["death", "release", "modelSlow"], agent: "steady" },
    rewrites: [
      {
        find: 'e.epoch > t.lost_epoch) end as "callMayBeLost"',
        replace: 'e.epoch > t.lost_epoch + 100) end as "callMayBeLost"',
      },
    ],
  },
  {
    name: "a list of tasks forgets whose they are",
    breaks: ["I8"],
    rewrites: [
      {
        find: "where tenant = $1 order by id desc limit $2",
        replace: "where $1::text <> '' order by id desc limit $2",
      },
    ],
  },
  {
    name: "a conversation is found by its name alone",
    breaks: ["I8"],
    climate: { tenants: 2, sessions: 1 },
    rewrites: [
      {
        find: "where tenant = $1 and session_id = $2 and status = 'completed'",
        replace: "where $1::text <> '' and session_id = $2 and status = 'completed'",
      },
    ],
  },
  {
    name: "a cancel asks not whose task it is",
    breaks: ["I8"],
    rewrites: [
      {
        find: "as is_left\n  from task t where t.tenant = $1 and t.id = $2",
        replace: "as is_left\n  from task t where $1::text <> '' and t.id = $2",
      },
    ],
  },
];
