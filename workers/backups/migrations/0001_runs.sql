-- Runs of the scheduled Workers. `at` is the scheduled time, so a repeated invocation replaces its row.
CREATE TABLE IF NOT EXISTS runs (
  worker TEXT NOT NULL,
  at TEXT NOT NULL, -- ISO 8601, UTC
  outcome TEXT NOT NULL CHECK (outcome IN ('ok', 'alarm', 'failed')),
  detail TEXT NOT NULL, -- JSON
  PRIMARY KEY (worker, at)
) WITHOUT ROWID;
