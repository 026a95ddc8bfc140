ALTER TABLE amphora ADD COLUMN replacing ${bool} DEFAULT ${false} NOT NULL;
