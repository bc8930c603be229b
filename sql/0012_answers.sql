-- Answers of models that may be given again: to calls that say exactly the same, for as long as the agent allows.
--
-- What is looked up is looked up by key alone; how old an answer may be is the business of whoever asks. The second index
-- is what deleting goes by.
create table answer (
  tenant     text collate "C" not null,
  -- SHA-256, in hex, of all that the call said; see src/gateway/cache/answer-key.ts.
  key        text collate "C" not null,
  answer     json not null,
  kept_at    timestamptz not null,
  -- Nobody asks for it any more.
  keep_until timestamptz not null,
  primary key (tenant, key)
);

create index answer_by_end on answer (keep_until);
