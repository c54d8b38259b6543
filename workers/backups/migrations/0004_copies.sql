-- The copies in the binding COPIES, and former copies on which an object still depends.
CREATE TABLE copies (
  name TEXT PRIMARY KEY,
  since TEXT NOT NULL, -- when it was first in COPIES
  removed_at TEXT -- when it was first found to be missing in COPIES
) WITHOUT ROWID;

-- One row for each object and copy.
CREATE TABLE object_copies (
  key TEXT NOT NULL,
  copy TEXT NOT NULL,
  since TEXT NOT NULL, -- since when the object must be there: it was listed, or the copy was added
  verified_at TEXT, -- last successful verification there; null: never, or found damaged since
  PRIMARY KEY (key, copy)
) WITHOUT ROWID;

-- Until this migration, `objects` had one column for each of three copies.
INSERT INTO copies (name, since)
SELECT value, (SELECT MIN(listed_at) FROM objects) FROM json_each('["primary", "replica", "offsite"]')
WHERE EXISTS (SELECT 1 FROM objects);

INSERT INTO object_copies (key, copy, since, verified_at)
SELECT key, copies.name, listed_at,
  CASE copies.name WHEN 'primary' THEN primary_at WHEN 'replica' THEN replica_at WHEN 'offsite' THEN offsite_at END
FROM objects CROSS JOIN copies;

DROP INDEX IF EXISTS objects_by_verification;

ALTER TABLE objects DROP COLUMN primary_at;

ALTER TABLE objects DROP COLUMN replica_at;

ALTER TABLE objects DROP COLUMN offsite_at;

CREATE INDEX object_copies_by_verification ON object_copies (verified_at, copy, since);
