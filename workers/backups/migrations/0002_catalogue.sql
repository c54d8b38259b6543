-- What is to exist, as signed manifests say, and what was found of it. Times are ISO 8601 in UTC with milliseconds.
CREATE TABLE IF NOT EXISTS manifests (
  grp TEXT NOT NULL,
  run TEXT NOT NULL, -- pgBackRest's label
  kind TEXT NOT NULL CHECK (kind IN ('full', 'incremental')),
  started_at TEXT NOT NULL,
  finished_at TEXT NOT NULL,
  sha256 TEXT NOT NULL, -- of the envelope as it is stored
  previous TEXT, -- run before it
  depends_on TEXT NOT NULL CHECK (json_valid(depends_on)),
  history INTEGER, -- of the archive: the N of 17-N; null until its first WAL segment is listed
  wal_first TEXT NOT NULL,
  wal_last TEXT NOT NULL,
  promoted TEXT CHECK (json_valid(promoted)), -- classes beside hourly that it is kept in too; null until decided
  read_at TEXT NOT NULL,
  PRIMARY KEY (grp, run)
) WITHOUT ROWID;

-- Every object that is to be in each store. What machines wrote has no source; a class's copies name theirs.
CREATE TABLE IF NOT EXISTS objects (
  key TEXT PRIMARY KEY,
  grp TEXT NOT NULL,
  class TEXT NOT NULL, -- hourly, daily, monthly, yearly; manifests
  run TEXT NOT NULL, -- whose it is
  manifest TEXT NOT NULL, -- the run whose manifest lists it
  kind TEXT NOT NULL CHECK (kind IN ('backup', 'wal', 'index', 'manifest')),
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  stored_at TEXT NOT NULL, -- by the store's clock
  history INTEGER, -- of WAL
  segment TEXT, -- of WAL: sorts as the database wrote it
  source TEXT,
  listed_at TEXT NOT NULL,
  primary_at TEXT, -- when its bytes were last found right there; null: never, or not since they were found wrong
  replica_at TEXT,
  offsite_at TEXT,
  check_after TEXT NOT NULL, -- when to look at it next
  due_at TEXT -- when it is to go, once that was planned
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS objects_by_check ON objects (check_after);

CREATE INDEX IF NOT EXISTS objects_by_run ON objects (grp, class, run);

CREATE INDEX IF NOT EXISTS objects_by_manifest ON objects (grp, manifest);

CREATE INDEX IF NOT EXISTS objects_by_segment ON objects (grp, class, segment);

CREATE INDEX IF NOT EXISTS objects_by_content ON objects (sha256);

CREATE INDEX IF NOT EXISTS objects_by_end ON objects (due_at);

CREATE INDEX IF NOT EXISTS objects_by_source ON objects (source);

-- What is wrong, and what was. At most one is open of the same kind, store and key.
CREATE TABLE IF NOT EXISTS findings (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL, -- findings.js
  store TEXT NOT NULL, -- primary, replica, offsite
  key TEXT NOT NULL,
  detail TEXT NOT NULL, -- for people
  found_at TEXT NOT NULL,
  seen_at TEXT NOT NULL, -- last
  closed_at TEXT,
  outcome TEXT -- how it ended: repaired, copied, gone, resolved
);

CREATE UNIQUE INDEX IF NOT EXISTS findings_open ON findings (kind, store, key) WHERE closed_at IS NULL;

-- Append-only: what age-out planned, did and left, and what was put into a class.
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  action TEXT NOT NULL CHECK (action IN ('promoted', 'planned', 'kept', 'deleted')),
  grp TEXT NOT NULL,
  class TEXT NOT NULL,
  run TEXT NOT NULL,
  kind TEXT NOT NULL,
  objects INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  reason TEXT NOT NULL
);

-- Who works at the moment, so that a slow invocation and the next one do not do the same.
CREATE TABLE IF NOT EXISTS leases (
  worker TEXT PRIMARY KEY,
  until TEXT NOT NULL
) WITHOUT ROWID;
