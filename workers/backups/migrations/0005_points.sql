-- Named restore points, as the manifests list them. Only recent ones, and those that a promoted backup is restored to, are kept.
CREATE TABLE points (
  name TEXT NOT NULL,
  grp TEXT NOT NULL, -- the group whose manifest lists it
  run TEXT NOT NULL, -- the run whose manifest lists it
  at TEXT NOT NULL, -- the time in its name
  segments TEXT NOT NULL CHECK (json_valid(segments)), -- the last WAL segment that a restore to it needs, by group
  PRIMARY KEY (name, grp)
) WITHOUT ROWID;

CREATE INDEX points_by_time ON points (at);

-- Promoted full backups. Those of all groups in one period of a class are restored to one point.
CREATE TABLE promotions (
  class TEXT NOT NULL, -- daily, monthly, yearly
  period TEXT NOT NULL, -- the digits of the label's date: 20261124, 202611, 2026
  grp TEXT NOT NULL,
  run TEXT NOT NULL,
  point TEXT, -- name of the restore point of all groups; null until it is known, or without one
  segment TEXT, -- the last WAL segment that a restore to the point needs
  settled_at TEXT, -- when all WAL up to the point was in the catalogue, or the wait for it was over; null until then
  PRIMARY KEY (class, grp, run)
) WITHOUT ROWID;

CREATE INDEX promotions_by_period ON promotions (class, period);

-- Backups that were promoted before this migration have no point.
INSERT INTO promotions (class, period, grp, run, settled_at)
SELECT value, substr(run, 1, CASE value WHEN 'daily' THEN 8 WHEN 'monthly' THEN 6 ELSE 4 END), grp, run, read_at
FROM manifests, json_each(promoted) WHERE kind = 'full' AND promoted IS NOT NULL;
