-- Finds dead letters by age, for the alarm on them (notify/watch.js).
CREATE INDEX IF NOT EXISTS deliveries_dead ON deliveries (settled_at) WHERE state = 'dead';
