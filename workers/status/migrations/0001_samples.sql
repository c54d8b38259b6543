-- One row per minute and component; the order of the key lets a span of time be read in one sweep.
CREATE TABLE IF NOT EXISTS samples (
  minute INTEGER NOT NULL, -- since 1970-01-01T00:00Z
  component TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('ok', 'degraded', 'down', 'unknown')),
  PRIMARY KEY (minute, component)
) WITHOUT ROWID;
