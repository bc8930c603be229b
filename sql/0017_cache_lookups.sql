-- What became of the calls that allow an answer to be given again: for each hour, agent and model a row, to which every
-- process adds. A hit leaves no row in the ledger, since it costs nothing, so its rate is counted here.
create table cache_lookup (
  hour         timestamptz not null,
  -- Empty: an outside program.
  agent        text collate "C" not null,
  -- Which answered, now or when the answer was made.
  model        text collate "C" not null,
  hits         bigint not null,
  -- An equal call was under way, and its answer was shared.
  shared       bigint not null,
  -- No model could be reached, and an old answer stood in.
  stale        bigint not null,
  misses       bigint not null,
  -- What answers that were given again took when a model gave them, as far as the price is known.
  saved_tokens bigint not null,
  saved_micros bigint not null,
  primary key (hour, agent, model)
);
