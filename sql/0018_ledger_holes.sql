-- The ledger without the holes that it had.

-- Of a call that is no task's: made before the row is written, so that a write whose answer was lost may be repeated.
-- (The rows of a task are told by the journal entry that is written with them.)
alter table usage add column id uuid;
create unique index usage_by_id on usage (id) where id is not null;

-- The virtual key that a task was submitted with, and what that key has been charged for it so far, in micro-dollars: what
-- the task may come to at most, and from its end on what it came to. The end puts the key right, in its transaction.
alter table task add column key_id uuid, add column key_charged bigint;
