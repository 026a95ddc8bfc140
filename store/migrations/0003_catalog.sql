CREATE TABLE flavor_profile (
  id ${id} NOT NULL PRIMARY KEY,
  name ${str} NOT NULL,
  provider_name ${str} NOT NULL,
  flavor_data ${text} NOT NULL
) ${table};

CREATE TABLE flavor (
  id ${id} NOT NULL PRIMARY KEY,
  name ${str} NOT NULL,
  description ${str} NOT NULL,
  enabled ${bool} NOT NULL,
  flavor_profile_id ${id} NOT NULL,
  FOREIGN KEY (flavor_profile_id) REFERENCES flavor_profile (id)
) ${table};
CREATE UNIQUE INDEX flavor_name ON flavor (name);

CREATE TABLE availability_zone_profile (
  id ${id} NOT NULL PRIMARY KEY,
  name ${str} NOT NULL,
  provider_name ${str} NOT NULL,
  availability_zone_data ${text} NOT NULL
) ${table};

CREATE TABLE availability_zone (
  name ${str} NOT NULL PRIMARY KEY,
  description ${str} NOT NULL,
  enabled ${bool} NOT NULL,
  availability_zone_profile_id ${id} NOT NULL,
  FOREIGN KEY (availability_zone_profile_id) REFERENCES availability_zone_profile (id)
) ${table};

CREATE INDEX load_balancer_flavor ON load_balancer (flavor_id);
CREATE INDEX load_balancer_zone ON load_balancer (availability_zone);
