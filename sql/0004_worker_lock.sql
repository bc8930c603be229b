-- A process that runs tasks holds an advisory lock under this key while it lives: a free lock says at once that it is dead,
-- and not only when its lease has run out. Null: it holds none at the moment, and only the lease tells.
alter table worker add column lock_key bigint;
