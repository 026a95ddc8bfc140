ALTER TABLE amphora ADD COLUMN drained ${bool} DEFAULT ${false} NOT NULL;
