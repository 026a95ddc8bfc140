CREATE TABLE rollout (
  id ${id} NOT NULL PRIMARY KEY,
  kind ${str} NOT NULL,
  parallel ${int} NOT NULL,
  state ${str} NOT NULL,
  reason ${text} NOT NULL,
  under_way ${text} NOT NULL,
  done ${int} NOT NULL,
  outstanding ${int} NOT NULL,
  left_out ${int} NOT NULL,
  started_at ${time} NOT NULL,
  updated_at ${time} NOT NULL
) ${table};
CREATE INDEX rollout_started ON rollout (kind, started_at);
