CREATE TABLE notification (
  id ${serial},
  loadbalancer_id ${id} NOT NULL,
  event ${str} NOT NULL,
  generation ${int} NOT NULL,
  body ${text},
  at ${time} NOT NULL
) ${table};
CREATE INDEX notification_lb ON notification (loadbalancer_id);

CREATE TABLE duty (
  name ${str} NOT NULL PRIMARY KEY,
  holder ${str} NOT NULL,
  until ${time} NOT NULL
) ${table};
