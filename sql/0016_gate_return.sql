-- When the store has been asked nothing at a gate for a while, processes may have gone on without it, and tell only later what
-- they did. Until then whatever counted at the last ask goes on counting; see src/store/queries/gate.ts.
alter table gate_process
  -- Grants from this bucket on count, though they are older than a window.
  add column counts_from  bigint,
  add column counts_until timestamptz;
