-- Virtual keys: who may call models through the gateway's endpoints, which, and for how much.
--
-- Only a hash of the secret is kept. What a call may come to is charged before it is made, under the lock of the key's row,
-- and put right when it is over: so calls that are made at the same time, by whichever processes, never pass a ceiling
-- together, and a call whose process dies stays charged with what was reserved for it.

create table virtual_key (
  id                  uuid primary key,
  tenant              text collate "C" not null,
  name                text not null,
  -- SHA-256 of the secret, in hex.
  hash                text collate "C" not null unique,
  -- The beginning of the secret, by which its owner recognizes it.
  prefix              text not null,
  -- Patterns of the models it may call, in which * stands for anything; empty: all.
  models              text[] not null,
  -- Ceilings in micro-dollars, and per minute; null: none.
  day_budget          bigint,
  month_budget        bigint,
  total_budget        bigint,
  requests_per_minute integer,
  tokens_per_minute   integer,
  -- Spent or reserved, in micro-dollars: on `spent_on` (a day in UTC), in its month, and ever.
  spent_on            date not null default (holdfast_now() at time zone 'utc')::date,
  day_spent           bigint not null default 0,
  month_spent         bigint not null default 0,
  total_spent         bigint not null default 0,
  expires_at          timestamptz,
  revoked_at          timestamptz,
  created_at          timestamptz not null default holdfast_now()
);

-- What a key asked for in each second of the last minute: the sum over 61 of them bounds any 60 seconds.
create table virtual_key_second (
  key_id   uuid not null references virtual_key on delete cascade,
  -- Since the epoch.
  second   bigint not null,
  requests integer not null,
  tokens   bigint not null,
  primary key (key_id, second)
);
