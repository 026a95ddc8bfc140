CREATE TABLE amphora (
  id ${id} NOT NULL PRIMARY KEY,
  loadbalancer_id ${id} NOT NULL,
  role ${str} NOT NULL,
  compute_id ${str} NOT NULL,
  compute_flavor ${str} NOT NULL,
  image_id ${str} NOT NULL,
  cached_zone ${str} NOT NULL,
  vrrp_port_id ${str} NOT NULL,
  vrrp_ip ${str} NOT NULL,
  vrrp_mac ${str} NOT NULL,
  vrrp_id ${int} NOT NULL,
  vrrp_priority ${int} NOT NULL,
  attempt ${int} NOT NULL,
  mgmt_port_id ${str} NOT NULL,
  lb_network_ip ${str} NOT NULL,
  interfaces ${text} NOT NULL,
  applied_generation ${int} NOT NULL,
  failed_generation ${int} NOT NULL,
  failure ${text} NOT NULL,
  vrrp_state ${str} NOT NULL,
  boot ${str} NOT NULL,
  sequence ${int} NOT NULL,
  last_report_at ${time},
  version ${str} NOT NULL,
  capabilities ${text} NOT NULL,
  cert_serial ${str} NOT NULL,
  cert_previous ${str} NOT NULL,
  cert_expiration ${time},
  enrol_hash ${str} NOT NULL,
  enrol_expiry ${time},
  enrol_used_at ${time},
  enrol_key ${str} NOT NULL,
  created_at ${time} NOT NULL,
  updated_at ${time},
  deleting ${bool} NOT NULL,
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id)
) ${table};
CREATE INDEX amphora_owner ON amphora (loadbalancer_id);
CREATE INDEX amphora_report ON amphora (last_report_at);
CREATE INDEX amphora_enrol ON amphora (enrol_hash);

CREATE TABLE member_health (
  member_id ${id} NOT NULL,
  amphora_id ${id} NOT NULL,
  loadbalancer_id ${id} NOT NULL,
  status ${str} NOT NULL,
  detail ${text} NOT NULL,
  at ${time} NOT NULL,
  PRIMARY KEY (member_id, amphora_id),
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE
) ${table};
CREATE INDEX member_health_owner ON member_health (loadbalancer_id);
CREATE INDEX member_health_amphora ON member_health (amphora_id);

CREATE TABLE listener_statistics (
  listener_id ${id} NOT NULL,
  amphora_id ${id} NOT NULL,
  loadbalancer_id ${id} NOT NULL,
  status ${str} NOT NULL,
  at ${time} NOT NULL,
  boot ${str} NOT NULL,
  active_connections ${int} NOT NULL,
  total_connections ${int} NOT NULL,
  request_errors ${int} NOT NULL,
  bytes_in ${int} NOT NULL,
  bytes_out ${int} NOT NULL,
  base_total_connections ${int} NOT NULL,
  base_request_errors ${int} NOT NULL,
  base_bytes_in ${int} NOT NULL,
  base_bytes_out ${int} NOT NULL,
  PRIMARY KEY (listener_id, amphora_id),
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE
) ${table};
CREATE INDEX listener_statistics_owner ON listener_statistics (loadbalancer_id);
CREATE INDEX listener_statistics_amphora ON listener_statistics (amphora_id);

CREATE TABLE change_log (
  id ${serial},
  seq ${int},
  origin ${id} NOT NULL,
  lb_id ${id} NOT NULL,
  kind ${str} NOT NULL,
  object_id ${id} NOT NULL,
  action ${str} NOT NULL,
  generation ${int} NOT NULL,
  project_id ${id} NOT NULL,
  at ${time} NOT NULL
) ${table};
CREATE UNIQUE INDEX change_log_seq ON change_log (seq);
CREATE INDEX change_log_at ON change_log (at);

CREATE TABLE change_head (
  id ${int} NOT NULL PRIMARY KEY,
  seq ${int} NOT NULL
) ${table};
INSERT INTO change_head (id, seq) SELECT 1, 0 FROM (SELECT 1 AS one) AS single WHERE NOT EXISTS (SELECT 1 FROM change_head);

CREATE TABLE quota (
  project_id ${id} NOT NULL PRIMARY KEY,
  loadbalancer ${int},
  listener ${int},
  pool ${int},
  member ${int},
  healthmonitor ${int},
  l7policy ${int},
  l7rule ${int}
) ${table};

CREATE TABLE project_lock (
  project_id ${id} NOT NULL PRIMARY KEY
) ${table};

CREATE TABLE material (
  name ${str} NOT NULL PRIMARY KEY,
  data ${blob} NOT NULL,
  updated_at ${time} NOT NULL
) ${table};
