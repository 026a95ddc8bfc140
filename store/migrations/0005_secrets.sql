CREATE TABLE secret (
  loadbalancer_id ${id} NOT NULL,
  ref ${str} NOT NULL,
  kind ${str} NOT NULL,
  digest ${str} NOT NULL,
  sealed ${blob} NOT NULL,
  not_after ${time},
  checked_at ${time} NOT NULL,
  failure ${text} NOT NULL,
  PRIMARY KEY (loadbalancer_id, ref),
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE
) ${table};
CREATE INDEX secret_checked ON secret (checked_at);
