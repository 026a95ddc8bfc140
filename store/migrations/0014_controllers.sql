-- The controllers that run, so that they can tell whether they agree in what they must.
CREATE TABLE controller (
  name ${str} NOT NULL PRIMARY KEY,
  version ${str} NOT NULL,
  config ${str} NOT NULL,
  seen_at ${time} NOT NULL
) ${table};
