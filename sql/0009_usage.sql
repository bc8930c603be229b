-- The ledger: a row for every call to a model that used anything, whether it answered or not.
--
-- A row is written by the statement that journals the call (src/store/queries/usage.ts), so the sum over a task's rows is
-- that over its journal. It carries what reports ask for, and refers to nothing: it outlives the task, which has a shorter
-- retention. Rows are never changed.
--
-- There is one index, since every model turn pays for it: reports read one tenant's rows of a stretch of time, and
-- retention the oldest of each tenant.
create table usage (
  at          timestamptz not null,
  -- Null: the price of the model is unknown.
  cost_micros bigint,
  -- The entry of the journal; null: the call was no task's.
  task_id     uuid,
  seq         integer,
  -- Input includes what was cached, output the reasoning.
  input       integer not null,
  cached      integer not null,
  output      integer not null,
  reasoning   integer not null,
  -- Nobody reported the tokens.
  estimated   boolean not null,
  tenant      text collate "C" not null,
  model       text collate "C" not null,
  -- Why it gave no answer that counts; null: it answered.
  code        text collate "C",
  agent       text collate "C",
  session_id  text collate "C",
  user_id     text collate "C",
  -- The virtual key that was used.
  key_id      text collate "C"
);

create index usage_by_time on usage (tenant, at);

-- The lease under which a worker was lost since the task last came to rest: a model call may have been made under it that
-- the journal does not know of.
alter table task add column lost_epoch integer;

-- What earlier releases journaled. (Epoch 0 has what a fork copied: the original paid for that.)
insert into usage (at, cost_micros, task_id, seq, input, cached, output, reasoning, estimated,
                   tenant, model, agent, session_id, user_id)
select e.at, (e.body->>'costMicros')::bigint, e.task_id, e.seq, (e.body->'usage'->>'input')::integer,
       (e.body->'usage'->>'cached')::integer, (e.body->'usage'->>'output')::integer,
       (e.body->'usage'->>'reasoning')::integer, (e.body->'usage'->>'estimated')::boolean,
       t.tenant, e.body->>'model', t.agent, t.session_id, t.user_id
from entry e join task t on t.id = e.task_id
where e.kind = 'model' and e.epoch > 0
  and (e.body->'usage'->>'input')::bigint + (e.body->'usage'->>'output')::bigint > 0;
