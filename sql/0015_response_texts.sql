-- What models said in answer to POST /v1/responses, by the id of the item: programs may refer to it instead of saying it again.
-- Rows are written once, and deleted by later writes when they are a month old.
create table response_text (
  id         text collate "C" primary key,
  tenant     text collate "C" not null,
  text       text not null,
  created_at timestamptz not null default holdfast_now()
);

create index response_text_by_age on response_text (created_at);
