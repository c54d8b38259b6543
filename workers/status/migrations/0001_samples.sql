-- One row for each minute and component. The key begins with the minute, so that a period is read as one range.
CREATE TABLE IF NOT EXISTS samples (
  minute INTEGER NOT NULL, -- since 1970-01-01T00:00Z
  component TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('ok', 'degraded', 'down', 'unknown')),
  PRIMARY KEY (minute, component)
) WITHOUT ROWID;
