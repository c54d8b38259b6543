-- What is said to people: incidents, maintenance, and each word about them. Components are JSON arrays of ids; impact
-- counts from 0 (none) to 3 (critical); times are milliseconds since 1970-01-01T00:00Z unless they are called minutes.
CREATE TABLE IF NOT EXISTS incidents (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  impact INTEGER NOT NULL CHECK (impact BETWEEN 0 AND 3),
  status TEXT NOT NULL CHECK (status IN ('investigating', 'identified', 'monitoring', 'resolved')),
  components TEXT NOT NULL CHECK (json_valid(components)),
  automatic INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  resolved_at INTEGER
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS incidents_by_end ON incidents (resolved_at);

CREATE TABLE IF NOT EXISTS maintenances (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('scheduled', 'in_progress', 'completed', 'cancelled')),
  components TEXT NOT NULL CHECK (json_valid(components)),
  emergency INTEGER NOT NULL,
  announced_at INTEGER NOT NULL,
  start_minute INTEGER NOT NULL,
  end_minute INTEGER NOT NULL, -- exclusive
  updated_at INTEGER NOT NULL,
  CHECK (start_minute < end_minute OR status = 'completed')
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS maintenances_by_end ON maintenances (end_minute);

-- Append-only. What an incident was at that moment is kept with the word about it.
CREATE TABLE IF NOT EXISTS updates (
  id TEXT PRIMARY KEY,
  type TEXT NOT NULL, -- 'incident.opened' …, the name of the event that contacts are told of
  subject TEXT NOT NULL, -- the incident's or maintenance's id
  status TEXT NOT NULL,
  impact INTEGER, -- null for maintenance
  components TEXT NOT NULL CHECK (json_valid(components)),
  body TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS updates_by_subject ON updates (subject, at);
