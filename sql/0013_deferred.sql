-- Model calls that go through a provider's batch API: slow, at half the price.
--
-- A call is written down before it is sent, under an id that the provider is given with it and gives back with the result;
-- a batch is written down before the provider is asked to take it. So whatever dies in between, what was sent can be found
-- again, and nothing is sent twice: see src/gateway/deferred/batch-keeper.ts.
create table deferred_call (
  -- As it stands in the journal of its task, and as the provider knows it.
  id         uuid primary key,
  task_id    uuid not null references task on delete cascade,
  tenant     text collate "C" not null,
  model      text collate "C" not null,
  -- What is asked, as the provider packages take it; null: it has an outcome.
  request    json,
  expires_at timestamptz not null,
  -- Null: it is yet to be sent.
  batch_id   uuid,
  -- It is sent in a batch of its own, as a batch with it was refused.
  alone      boolean not null default false,
  -- What became of it; null: nobody knows yet.
  outcome    json,
  -- Its task has been woken for it.
  told       boolean not null default false
);

create index deferred_call_by_task on deferred_call (task_id);
create index deferred_call_to_send on deferred_call (id) where batch_id is null and outcome is null;
create index deferred_call_in_batch on deferred_call (batch_id) where batch_id is not null and outcome is null;
create index deferred_call_to_tell on deferred_call (id) where outcome is not null and not told;

-- Batches that are not over.
create table deferred_batch (
  id          uuid primary key,
  model       text collate "C" not null,
  sent_at     timestamptz not null,
  -- What the provider calls it; null: it has not answered.
  provider_id text,
  -- When somebody is to look after it; whoever does moves it on first, so that nobody else does.
  due_at      timestamptz not null
);

create index deferred_batch_due on deferred_batch (due_at);
