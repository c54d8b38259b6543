-- Unfinished multipart uploads of objects that are too large for one PUT.
CREATE TABLE uploads (
  copy TEXT NOT NULL, -- the copy that is written
  key TEXT NOT NULL,
  upload TEXT NOT NULL, -- the store's id
  content TEXT NOT NULL, -- the SHA-256 or etag in the metadata of the upload
  PRIMARY KEY (copy, key)
) WITHOUT ROWID;

CREATE TABLE upload_parts (
  copy TEXT NOT NULL,
  key TEXT NOT NULL,
  number INTEGER NOT NULL, -- from 1
  etag TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (copy, key, number)
) WITHOUT ROWID;

-- The SHA-256 of such objects, while no manifest lists them.
CREATE TABLE digests (
  key TEXT PRIMARY KEY,
  etag TEXT NOT NULL, -- of the object in the primary
  sha256 TEXT NOT NULL
) WITHOUT ROWID;
