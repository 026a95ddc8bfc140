-- How many connections the instance carries at once, as its agent says; 0 from one that does not.
ALTER TABLE amphora ADD COLUMN max_connections ${int} DEFAULT 0 NOT NULL;
