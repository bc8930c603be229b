-- What a call to a model was made for: 'evaluation'; null: the work itself. Null costs the rows of tasks nothing.
alter table usage add column purpose text collate "C";
