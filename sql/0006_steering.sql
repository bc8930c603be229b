-- Messages to tasks that are at work. A row is written under the lock of its task's row, together with its count there.

-- Messages that the task has not heard yet. Every write of its worker reads the row anyway, so to be told of them costs no
-- query; and no task ends while it is not zero: the statement that ends it looks at it under the row's lock.
alter table task add column unheard smallint not null default 0;

create table inbox (
  -- If the task ends without having heard it, the message becomes a task of this id.
  id              uuid primary key,
  tenant          text collate "C" not null,
  task_id         uuid not null references task on delete cascade,
  -- It also cuts off the model turn in flight.
  interrupts      boolean not null,
  -- What such a task would be made of; `input` is emptied when the message has been heard, for then the journal has it.
  input           jsonb not null,
  priority        smallint not null,
  user_id         text,
  metadata        jsonb not null,
  idempotency_key text collate "C",
  request_hash    text,
  heard           boolean not null default false,
  created_at      timestamptz not null default holdfast_now()
);

create unique index inbox_by_idempotency_key on inbox (tenant, idempotency_key) where idempotency_key is not null;
create index inbox_by_task on inbox (task_id);
