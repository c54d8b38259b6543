-- Alarms and pending conditions: one row for each time that a condition begins.
CREATE TABLE IF NOT EXISTS alarms (
  id TEXT NOT NULL, -- kind and subject of the condition, such as 'full:coordinator'
  since TEXT NOT NULL, -- time of the check run that found it first
  text TEXT NOT NULL,
  raised_at TEXT, -- time of the second check run that found it; null while it is pending, without notifications
  ended_at TEXT,
  PRIMARY KEY (id, since)
) WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS alarms_open ON alarms (id) WHERE ended_at IS NULL;

-- Notifications per alarm and channel. A row is inserted before the first attempt: null means not sent yet.
CREATE TABLE IF NOT EXISTS told (
  id TEXT NOT NULL,
  since TEXT NOT NULL,
  channel TEXT NOT NULL, -- kind of channel and SHA-256 of its address: the address of a webhook is a secret
  last_at TEXT, -- last notification that the alarm lasts
  end_at TEXT, -- notification that the alarm has ended
  PRIMARY KEY (id, since, channel)
) WITHOUT ROWID;
