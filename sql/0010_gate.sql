-- Calls to models, as counted against the limits of their providers. A gate is one model with one key of its provider; its
-- name holds a hash of the key, never the key. Everything here is short-lived: what a process was granted, and what it says
-- of itself, ages out by the clock, so a process that dies leaves nothing to be cleared up.
--
-- Whoever writes holds the gate's advisory lock; see src/store/queries/gate.ts.

-- What was granted in each span of time, the sixtieth part of a window. Rewritten all the time, so pages have room for it.
create table gate_grant (
  gate     text collate "C" not null,
  bucket   bigint not null,
  requests integer not null,
  tokens   bigint not null,
  primary key (gate, bucket)
) with (fillfactor = 50);

-- What all processes have learned of a gate from its provider. No row: nothing.
create table gate_limit (
  gate             text collate "C" primary key,
  -- A window's, as the provider says in its headers; or, if `observed`, what was in use when it first refused.
  requests         float8,
  tokens           float8,
  observed         boolean not null default false,
  -- Of the limit; taken down by a refusal, and rising again from then on.
  share            float8 not null default 1,
  reduced_at       timestamptz,
  blocked_until    timestamptz,
  -- What the provider counts beyond what we do: others use the same key, or it counts otherwise.
  foreign_requests float8 not null default 0,
  foreign_tokens   float8 not null default 0,
  foreign_at       timestamptz
);

-- Processes with calls under way at a gate, or waiting before it.
create table gate_process (
  gate          text collate "C" not null,
  process       uuid not null,
  in_flight     integer not null,
  -- Not heard of since then, it is dead, and its calls with it.
  alive_until   timestamptz not null,
  -- The tokens of the call that waits first; null: none waits.
  head_tokens   bigint,
  waiting_until timestamptz not null,
  -- When it was last granted something; those that were longest ago go first.
  served_at     timestamptz,
  primary key (gate, process)
) with (fillfactor = 50);
