-- What was found to be wrong, and what was raised of it: a row each time that something begins.
CREATE TABLE IF NOT EXISTS alarms (
  id TEXT NOT NULL, -- condition and what it is about, such as 'full:coordinator'
  since TEXT NOT NULL, -- the look that found it first
  text TEXT NOT NULL,
  raised_at TEXT, -- when it was found again; null: a suspicion, of which nobody hears
  ended_at TEXT,
  PRIMARY KEY (id, since)
) WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS alarms_open ON alarms (id) WHERE ended_at IS NULL;

-- Who is to hear of an alarm, made before anybody is told: what is null here is still owed.
CREATE TABLE IF NOT EXISTS told (
  id TEXT NOT NULL,
  since TEXT NOT NULL,
  channel TEXT NOT NULL, -- kind and the SHA-256 of the address: a webhook's is a secret
  last_at TEXT, -- when it was told last that it lasts
  end_at TEXT, -- when it was told that it has ended
  PRIMARY KEY (id, since, channel)
) WITHOUT ROWID;
