-- Keeping the database as small as what is asked of it: values kept once, and what is past its retention deleted.

-- Which task needs which value. A value that no task needs is deleted; see src/store/queries/retention.ts.
create table large_reference (
  task_id uuid not null references task on delete cascade,
  tenant  text collate "C" not null,
  hash    text collate "C" not null,
  primary key (task_id, hash)
);

create index large_reference_by_value on large_reference (tenant, hash);

-- When the value was last written, if only to find that it is there: one that is about to be referenced is not deleted.
alter table large_value rename column created_at to used_at;

-- What the release before this one kept: outcomes of tools.
insert into large_reference (task_id, tenant, hash)
select distinct t.id, t.tenant, e.body->'outcome'->'large'->>'hash'
from entry e join task t on t.id = e.task_id
where e.kind = 'tool' and e.body->'outcome'->'large'->>'hash' is not null;

-- Which values of the input stand elsewhere, as in the entry that the approval was made from.
alter table approval add column large json;

-- What one process does for all, and when one last began to.
create table upkeep (
  name     text primary key,
  begun_at timestamptz not null
);
