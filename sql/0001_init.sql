-- The durable state of Holdfast. PostgreSQL 15 dialect; the same script runs on PGlite and on a server.
--
-- The journal (table entry) is the agent: everything else about a task is who may write it (task.lease_owner, task.epoch),
-- when it may go on (task.status, task.wake_at) and what can be read from it without folding it (the result columns).
--
-- Lock order: session rows by (id, tenant), then task rows by id, then the rest. Every statement that takes more than one
-- row lock takes them in this order.
--
-- Names and keys are compared by their bytes (collate "C"), which is several times faster than by a language's rules.

-- The one clock of the database. A test sets holdfast.now_ms and owns time.
create function holdfast_now() returns timestamptz language sql volatile as $$
  select coalesce(
    to_timestamp(nullif(current_setting('holdfast.now_ms', true), '')::float8 / 1000.0),
    clock_timestamp())
$$;

-- A conversation. Its tasks run one at a time, in the order of their positions.
create table session (
  tenant        text collate "C" not null,
  id            text collate "C" not null,
  -- Tasks that have not ended; the row lock taken to change it orders submits and completions of the session.
  open_tasks    integer not null default 0,
  last_position bigint not null default 0,
  -- Grows when a completed task adds to the conversation: a worker's cached copy is good while the version is the same.
  version       integer not null default 0,
  created_at    timestamptz not null default holdfast_now(),
  updated_at    timestamptz not null default holdfast_now(),
  -- The id first: sessions are locked by an array of ids.
  primary key (id, tenant)
);

create table task (
  id              uuid primary key,
  tenant          text collate "C" not null,
  session_id      text collate "C" not null,
  position        bigint not null,
  agent           text collate "C" not null,
  status          text collate "C" not null default 'pending'
                  check (status in ('pending', 'running', 'waiting', 'completed', 'failed', 'cancelled')),
  -- No earlier task of the session is open. Set when the task is submitted or when the one before it ends.
  is_head         boolean not null,
  priority        smallint not null default 0,
  -- What was asked for: prompt, context, limits, route; a fork also carries the history it started from.
  input           jsonb not null,
  user_id         text,
  metadata        jsonb not null default '{}',
  idempotency_key text collate "C",
  request_hash    text,
  forked_from     uuid,
  lease_owner     uuid,
  epoch           integer not null default 0,
  -- How often its worker was lost since the task last came to rest: a task that kills whoever runs it must not go round.
  takeovers       integer not null default 0,
  cancel_requested_by text,
  wake_at         timestamptz,
  output          text,
  error           text,
  error_message   text,
  steps_used      integer not null default 0,
  tokens_used     integer not null default 0,
  tool_calls      integer not null default 0,
  cost_micros     bigint default 0,
  -- Failed, and nobody has decided yet what becomes of it.
  dead_letter     boolean not null default false,
  created_at      timestamptz not null default holdfast_now(),
  started_at      timestamptz,
  finished_at     timestamptz
);

create unique index task_by_idempotency_key on task (tenant, idempotency_key) where idempotency_key is not null;
create index task_by_session on task (tenant, session_id, position);
create index task_by_tenant on task (tenant, id);
create index task_claimable on task (priority desc, id) where status = 'pending' and is_head;
-- Not "where status = 'running'": the planner would use it to find the tasks of an append, among all that run.
create index task_leased on task (lease_owner) where lease_owner is not null;
create index task_sleeping on task (wake_at) where status = 'waiting' and wake_at is not null;
create index task_dead_letters on task (tenant, id) where dead_letter;

-- The journal. Append-only; seq counts from 1 without gaps. The epoch says under which lease it was written.
-- The body is json and not jsonb: what a model said must come back to it to the letter, the order of keys included.
create table entry (
  task_id uuid not null,
  seq     integer not null,
  epoch   integer not null,
  kind    text not null,
  at      timestamptz not null,
  body    json not null,
  primary key (task_id, seq)
);

-- The text of a model turn in flight, for readers that reconnect. Not worth a log: a crash voids it anyway.
create unlogged table partial (
  task_id    uuid primary key,
  text       text not null,
  updated_at timestamptz not null default holdfast_now()
);

create table approval (
  id         uuid primary key,
  tenant     text collate "C" not null,
  task_id    uuid not null references task on delete cascade,
  agent      text not null,
  kind       text not null check (kind in ('tool', 'uncertain', 'limit', 'stutter')),
  call_id    text,
  tool       text,
  input      json not null,
  input_hash text not null,
  reason     text not null,
  status     text not null default 'pending' check (status in ('pending', 'answered', 'cancelled')),
  answer     jsonb,
  answered_by text,
  created_at timestamptz not null default holdfast_now(),
  answered_at timestamptz,
  expires_at timestamptz
);

create index approval_by_tenant on approval (tenant, id) where status = 'pending';
create index approval_by_task on approval (task_id);

-- Values too large for the journal, kept once by the hash of their content.
create table large_value (
  tenant     text collate "C" not null,
  hash       text collate "C" not null,
  content    text not null,
  created_at timestamptz not null default holdfast_now(),
  primary key (tenant, hash)
);

-- Processes that run tasks. A row past expires_at is dead, and any other process may take its tasks.
create table worker (
  id         uuid primary key,
  info       jsonb not null,
  expires_at timestamptz not null,
  started_at timestamptz not null default holdfast_now()
);
