-- What watch has raised, and who was told of it through which channel.
CREATE TABLE IF NOT EXISTS alarms (
  id TEXT PRIMARY KEY, -- condition and what it is about, such as 'full:coordinator'
  text TEXT NOT NULL,
  since TEXT NOT NULL,
  ended_at TEXT
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS told (
  channel TEXT NOT NULL, -- an e-mail address or a webhook's address
  event TEXT NOT NULL, -- what was said, once
  at TEXT NOT NULL,
  PRIMARY KEY (channel, event)
) WITHOUT ROWID;
