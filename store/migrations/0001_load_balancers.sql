CREATE TABLE load_balancer (
  id ${id} NOT NULL PRIMARY KEY,
  project_id ${id} NOT NULL,
  operating_status ${str} NOT NULL,
  admin_state_up ${bool} NOT NULL,
  tags ${text} NOT NULL,
  created_at ${time} NOT NULL,
  updated_at ${time},
  generation ${int} NOT NULL,
  created ${int} NOT NULL,
  deleting ${bool} NOT NULL,
  name ${str} NOT NULL,
  description ${str} NOT NULL,
  vip_address ${str} NOT NULL,
  vip_port_id ${id},
  vip_subnet_id ${id},
  vip_network_id ${id},
  vip_qos_policy_id ${id},
  vip_sg_ids ${text} NOT NULL,
  vip_vnic_type ${str} NOT NULL,
  additional_vips ${text} NOT NULL,
  provider ${str} NOT NULL,
  flavor_id ${id},
  availability_zone ${str},
  topology ${str} NOT NULL,
  observed_generation ${int} NOT NULL,
  failure ${text} NOT NULL,
  vip_port_owned ${bool} NOT NULL,
  cloud_generation ${int} NOT NULL,
  failures ${int} NOT NULL,
  failure_at ${time},
  next_try_at ${time},
  due_at ${time},
  wake_seq ${int} NOT NULL,
  lease_owner ${str} NOT NULL,
  lease_token ${int} NOT NULL,
  lease_until ${time},
  converged ${bool} GENERATED ALWAYS AS (observed_generation >= generation AND NOT deleting) STORED
) ${table};
CREATE INDEX load_balancer_created ON load_balancer (created_at, id);
CREATE INDEX load_balancer_project ON load_balancer (project_id, created_at, id, deleting);
CREATE INDEX load_balancer_name ON load_balancer (name, created_at, id);
CREATE INDEX load_balancer_vip_port ON load_balancer (vip_port_id);
CREATE INDEX load_balancer_vip_address ON load_balancer (vip_address);
CREATE INDEX load_balancer_converged ON load_balancer (converged, created_at, id);
CREATE INDEX load_balancer_due ON load_balancer (due_at);
CREATE INDEX load_balancer_lease ON load_balancer (lease_until);

CREATE TABLE listener (
  id ${id} NOT NULL PRIMARY KEY,
  loadbalancer_id ${id} NOT NULL,
  project_id ${id} NOT NULL,
  operating_status ${str} NOT NULL,
  admin_state_up ${bool} NOT NULL,
  tags ${text} NOT NULL,
  created_at ${time} NOT NULL,
  updated_at ${time},
  generation ${int} NOT NULL,
  created ${int} NOT NULL,
  deleting ${bool} NOT NULL,
  name ${str} NOT NULL,
  description ${str} NOT NULL,
  protocol ${str} NOT NULL,
  protocol_port ${int} NOT NULL,
  connection_limit ${int} NOT NULL,
  default_pool_id ${id},
  insert_headers ${text} NOT NULL,
  timeout_client_data ${int} NOT NULL,
  timeout_member_connect ${int} NOT NULL,
  timeout_member_data ${int} NOT NULL,
  timeout_tcp_inspect ${int} NOT NULL,
  default_tls_container_ref ${str},
  sni_container_refs ${text} NOT NULL,
  client_ca_tls_container_ref ${str},
  client_authentication ${str} NOT NULL,
  client_crl_container_ref ${str},
  allowed_cidrs ${text},
  tls_ciphers ${text},
  tls_versions ${text},
  alpn_protocols ${text},
  hsts_max_age ${int},
  hsts_include_subdomains ${bool} NOT NULL,
  hsts_preload ${bool} NOT NULL,
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE
) ${table};
CREATE INDEX listener_owner ON listener (loadbalancer_id);
CREATE INDEX listener_created ON listener (created_at, id);
CREATE INDEX listener_project ON listener (project_id, created_at, id, deleting);
CREATE INDEX listener_name ON listener (name, created_at, id);
CREATE INDEX listener_default_pool ON listener (default_pool_id);

CREATE TABLE pool (
  id ${id} NOT NULL PRIMARY KEY,
  loadbalancer_id ${id} NOT NULL,
  project_id ${id} NOT NULL,
  operating_status ${str} NOT NULL,
  admin_state_up ${bool} NOT NULL,
  tags ${text} NOT NULL,
  created_at ${time} NOT NULL,
  updated_at ${time},
  generation ${int} NOT NULL,
  created ${int} NOT NULL,
  deleting ${bool} NOT NULL,
  name ${str} NOT NULL,
  description ${str} NOT NULL,
  protocol ${str} NOT NULL,
  lb_algorithm ${str} NOT NULL,
  session_persistence ${text},
  tls_container_ref ${str},
  ca_tls_container_ref ${str},
  crl_container_ref ${str},
  tls_enabled ${bool} NOT NULL,
  tls_ciphers ${text},
  tls_versions ${text},
  alpn_protocols ${text},
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE
) ${table};
CREATE INDEX pool_owner ON pool (loadbalancer_id);
CREATE INDEX pool_created ON pool (created_at, id);
CREATE INDEX pool_project ON pool (project_id, created_at, id, deleting);
CREATE INDEX pool_name ON pool (name, created_at, id);

CREATE TABLE member (
  id ${id} NOT NULL PRIMARY KEY,
  loadbalancer_id ${id} NOT NULL,
  pool_id ${id} NOT NULL,
  project_id ${id} NOT NULL,
  operating_status ${str} NOT NULL,
  admin_state_up ${bool} NOT NULL,
  tags ${text} NOT NULL,
  created_at ${time} NOT NULL,
  updated_at ${time},
  generation ${int} NOT NULL,
  created ${int} NOT NULL,
  deleting ${bool} NOT NULL,
  name ${str} NOT NULL,
  address ${str} NOT NULL,
  protocol_port ${int} NOT NULL,
  weight ${int} NOT NULL,
  backup ${bool} NOT NULL,
  subnet_id ${id},
  monitor_address ${str},
  monitor_port ${int},
  vnic_type ${str} NOT NULL,
  request_sriov ${bool} NOT NULL,
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE,
  FOREIGN KEY (pool_id) REFERENCES pool (id) ON DELETE CASCADE
) ${table};
CREATE INDEX member_owner ON member (loadbalancer_id);
CREATE INDEX member_pool ON member (pool_id, created_at, id);
CREATE INDEX member_project ON member (project_id, deleting);

CREATE TABLE health_monitor (
  id ${id} NOT NULL PRIMARY KEY,
  loadbalancer_id ${id} NOT NULL,
  pool_id ${id} NOT NULL,
  project_id ${id} NOT NULL,
  operating_status ${str} NOT NULL,
  admin_state_up ${bool} NOT NULL,
  tags ${text} NOT NULL,
  created_at ${time} NOT NULL,
  updated_at ${time},
  generation ${int} NOT NULL,
  created ${int} NOT NULL,
  deleting ${bool} NOT NULL,
  name ${str} NOT NULL,
  "type" ${str} NOT NULL,
  delay ${int} NOT NULL,
  timeout ${int} NOT NULL,
  max_retries ${int} NOT NULL,
  max_retries_down ${int} NOT NULL,
  http_method ${str},
  url_path ${text},
  expected_codes ${text},
  http_version ${float},
  domain_name ${str},
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE,
  FOREIGN KEY (pool_id) REFERENCES pool (id) ON DELETE CASCADE
) ${table};
CREATE INDEX health_monitor_owner ON health_monitor (loadbalancer_id);
CREATE INDEX health_monitor_pool ON health_monitor (pool_id);
CREATE INDEX health_monitor_created ON health_monitor (created_at, id);
CREATE INDEX health_monitor_project ON health_monitor (project_id, created_at, id, deleting);

CREATE TABLE l7policy (
  id ${id} NOT NULL PRIMARY KEY,
  loadbalancer_id ${id} NOT NULL,
  listener_id ${id} NOT NULL,
  project_id ${id} NOT NULL,
  operating_status ${str} NOT NULL,
  admin_state_up ${bool} NOT NULL,
  tags ${text} NOT NULL,
  created_at ${time} NOT NULL,
  updated_at ${time},
  generation ${int} NOT NULL,
  created ${int} NOT NULL,
  deleting ${bool} NOT NULL,
  name ${str} NOT NULL,
  description ${str} NOT NULL,
  action ${str} NOT NULL,
  redirect_pool_id ${id},
  redirect_url ${text},
  redirect_prefix ${text},
  redirect_http_code ${int},
  position ${int} NOT NULL,
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE,
  FOREIGN KEY (listener_id) REFERENCES listener (id) ON DELETE CASCADE
) ${table};
CREATE INDEX l7policy_owner ON l7policy (loadbalancer_id);
CREATE INDEX l7policy_listener ON l7policy (listener_id);
CREATE INDEX l7policy_redirect_pool ON l7policy (redirect_pool_id);
CREATE INDEX l7policy_created ON l7policy (created_at, id);
CREATE INDEX l7policy_project ON l7policy (project_id, created_at, id, deleting);

CREATE TABLE l7rule (
  id ${id} NOT NULL PRIMARY KEY,
  loadbalancer_id ${id} NOT NULL,
  l7policy_id ${id} NOT NULL,
  project_id ${id} NOT NULL,
  operating_status ${str} NOT NULL,
  admin_state_up ${bool} NOT NULL,
  tags ${text} NOT NULL,
  created_at ${time} NOT NULL,
  updated_at ${time},
  generation ${int} NOT NULL,
  created ${int} NOT NULL,
  deleting ${bool} NOT NULL,
  "type" ${str} NOT NULL,
  compare_type ${str} NOT NULL,
  "key" ${str},
  value ${str} NOT NULL,
  "invert" ${bool} NOT NULL,
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE,
  FOREIGN KEY (l7policy_id) REFERENCES l7policy (id) ON DELETE CASCADE
) ${table};
CREATE INDEX l7rule_owner ON l7rule (loadbalancer_id);
CREATE INDEX l7rule_policy ON l7rule (l7policy_id, created_at, id);
CREATE INDEX l7rule_project ON l7rule (project_id, deleting);

CREATE TABLE tag (
  object_id ${id} NOT NULL,
  tag ${str} NOT NULL,
  loadbalancer_id ${id} NOT NULL,
  PRIMARY KEY (object_id, tag),
  FOREIGN KEY (loadbalancer_id) REFERENCES load_balancer (id) ON DELETE CASCADE
) ${table};
CREATE INDEX tag_objects ON tag (tag, object_id);
CREATE INDEX tag_owner ON tag (loadbalancer_id);
