-- What an operator has ordered to be done to model calls for a while, so that every process does it: faults of a game day, a
-- drill of the fallback. One order of each kind at a time; it ends by itself.
create table experiment (
  kind     text primary key check (kind in ('faults', 'drill')),
  value    jsonb not null,
  ends_at  timestamptz not null
);

-- What the calls of drills came to: for each hour and route a row for its first candidates and one for its fallback, to which
-- every process adds. Histograms count by the bounds of src/gateway/histogram.ts.
create table drill_result (
  hour         timestamptz not null,
  -- The models of the first rank, and those after it, each joined by a comma.
  first_models text collate "C" not null,
  fallback_models text collate "C" not null,
  path         text not null check (path in ('primary', 'fallback')),
  calls        bigint not null,
  answered     bigint not null,
  tokens       bigint not null,
  -- Of the calls whose price is known, and how many have an unknown one.
  cost_micros  bigint not null,
  unpriced     bigint not null,
  ms           integer[] not null,
  ttft_ms      integer[] not null,
  primary key (hour, first_models, fallback_models, path)
);
