ALTER TABLE load_balancer ADD COLUMN awaited_since ${time};
