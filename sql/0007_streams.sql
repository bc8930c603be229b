-- The text of a turn in flight says which attempt at which turn it belongs to: the last entry the turn goes on from, the
-- epoch of the lease under which it is made, and the number of the attempt. So a reader tells the text of a turn that is
-- over from that of the next one, and a worker that lost its lease never replaces the text of the one that took over.
--
-- A row of a release that does not say so belongs to no turn.
truncate partial;

alter table partial
  add column after_seq integer not null default -1,
  add column epoch integer not null default 0,
  add column attempt integer not null default 0;
