-- Results that a carrier of messages is to bring to whoever sent the task: an outbox.
--
-- A row is written by the transaction that ends the task, whichever statement that is (finish, cancel, or one that comes
-- later), so a result is never missed and never announced too early. A trigger does it: its condition is looked at in
-- memory, so a task that nobody wants to hear of through a carrier costs no query. A publisher takes rows for a while,
-- hands them to the carrier and deletes them; if it dies in between, another does so again.

-- The carrier that brings the result, null: none.
alter table task add column result_to text collate "C";

create table outgoing_result (
  id            bigint generated always as identity primary key,
  carrier       text collate "C" not null,
  -- How often the task had been replayed when it ended: a dead letter that goes on may end a second time.
  replays       integer not null,
  -- What it came to then; its row may be something else by the time this is published, or gone.
  task_id       uuid not null,
  tenant        text collate "C" not null,
  session_id    text collate "C" not null,
  agent         text collate "C" not null,
  status        text collate "C" not null,
  output        text,
  error         text,
  error_message text,
  steps_used    integer not null,
  tokens_used   integer not null,
  tool_calls    integer not null,
  cost_micros   bigint,
  created_at    timestamptz not null,
  finished_at   timestamptz not null,
  -- A publisher has it in hand until then.
  taken_until   timestamptz
);

create function holdfast_keep_result() returns trigger language plpgsql as $$
begin
  insert into outgoing_result (carrier, replays, task_id, tenant, session_id, agent, status, output, error, error_message,
                               steps_used, tokens_used, tool_calls, cost_micros, created_at, finished_at)
  values (new.result_to, (select count(*) from entry e where e.task_id = new.id and e.kind = 'replay'),
          new.id, new.tenant, new.session_id, new.agent, new.status, new.output, new.error, new.error_message,
          new.steps_used, new.tokens_used, new.tool_calls, new.cost_micros, new.created_at,
          coalesce(new.finished_at, holdfast_now()));
  return null;
end $$;

-- Also when a task that has ended is asked for afterwards.
create trigger task_result_kept after update of status, result_to on task for each row
when (new.result_to is not null and new.status in ('completed', 'failed', 'cancelled')
      and (old.result_to is null or old.status not in ('completed', 'failed', 'cancelled')))
execute function holdfast_keep_result();
