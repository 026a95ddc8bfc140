ALTER TABLE amphora ADD COLUMN program ${str} DEFAULT '' NOT NULL;
ALTER TABLE amphora ADD COLUMN program_refused ${str} DEFAULT '' NOT NULL;
ALTER TABLE amphora ADD COLUMN program_failure ${str} DEFAULT '' NOT NULL;
ALTER TABLE amphora ADD COLUMN wanted_program ${text};
