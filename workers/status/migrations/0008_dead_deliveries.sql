-- Of which operators are told.
CREATE INDEX IF NOT EXISTS deliveries_dead ON deliveries (settled_at) WHERE state = 'dead';
