-- Incidents, maintenances, and the published updates about them. `components` is a JSON array of ids. `impact` is from 0
-- (none) to 3 (critical). Columns named `…_minute` are minutes, other times milliseconds, since 1970-01-01T00:00Z.
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

-- Published updates. A row keeps the status, impact and components that its subject had when the update was published.
CREATE TABLE IF NOT EXISTS updates (
  id TEXT PRIMARY KEY,
  type TEXT NOT NULL, -- type of the notification: 'incident.opened' …
  subject TEXT NOT NULL, -- the incident's or maintenance's id
  status TEXT NOT NULL,
  impact INTEGER, -- null for maintenance
  components TEXT NOT NULL CHECK (json_valid(components)),
  body TEXT NOT NULL,
  at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS updates_by_subject ON updates (subject, at);
