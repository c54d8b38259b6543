-- The copies that objects are to be in: those that the binding COPIES lists, and those that it listed once and that still
-- hold what no other copy was proven to have since.
CREATE TABLE copies (
  name TEXT PRIMARY KEY,
  since TEXT NOT NULL, -- when it was listed first
  removed_at TEXT -- when it was found to be listed no more
) WITHOUT ROWID;

-- One row for each object and copy. Null: never found right there, or not since it was found wrong.
CREATE TABLE object_copies (
  key TEXT NOT NULL,
  copy TEXT NOT NULL,
  since TEXT NOT NULL, -- since when it is to be there: the object was listed, or the copy was added
  verified_at TEXT, -- when its bytes were last found right there
  PRIMARY KEY (key, copy)
) WITHOUT ROWID;

-- Three columns of each object until now.
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
