-- The catalogue: backup runs with a valid manifest. All times in this database are ISO 8601 in UTC with milliseconds.
CREATE TABLE IF NOT EXISTS manifests (
  grp TEXT NOT NULL,
  run TEXT NOT NULL, -- pgBackRest's label
  kind TEXT NOT NULL CHECK (kind IN ('full', 'incremental')),
  started_at TEXT NOT NULL,
  finished_at TEXT NOT NULL,
  sha256 TEXT NOT NULL, -- of the stored envelope
  previous TEXT, -- label of the run before it
  depends_on TEXT NOT NULL CHECK (json_valid(depends_on)), -- labels of runs
  history INTEGER, -- the N of the archive 17-N; null until a manifest lists its first WAL segment
  wal_first TEXT NOT NULL,
  wal_last TEXT NOT NULL,
  promoted TEXT CHECK (json_valid(promoted)), -- classes that it was promoted to; null until that is decided
  read_at TEXT NOT NULL,
  PRIMARY KEY (grp, run)
) WITHOUT ROWID;

-- Objects that must be in every store: those that machines wrote, and those that were promoted to another class.
CREATE TABLE IF NOT EXISTS objects (
  key TEXT PRIMARY KEY,
  grp TEXT NOT NULL,
  class TEXT NOT NULL, -- hourly, daily, monthly, yearly; manifests
  run TEXT NOT NULL, -- the run that it belongs to
  manifest TEXT NOT NULL, -- the run whose manifest lists it
  kind TEXT NOT NULL CHECK (kind IN ('backup', 'wal', 'index', 'manifest')),
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  stored_at TEXT NOT NULL, -- upload time, by the store's clock; of a promoted object the end of its run
  history INTEGER, -- WAL only: the N of the archive 17-N
  segment TEXT, -- WAL only: position, sorts in the order of WAL
  source TEXT, -- key of the object that was promoted to this one; null for an object of a machine
  listed_at TEXT NOT NULL, -- when its manifest was read
  primary_at TEXT, -- last verification in the primary; null: never, or found damaged since
  replica_at TEXT,
  offsite_at TEXT,
  check_after TEXT NOT NULL, -- time of the next verification
  due_at TEXT -- planned time of its deletion
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS objects_by_check ON objects (check_after);

CREATE INDEX IF NOT EXISTS objects_by_run ON objects (grp, class, run);

CREATE INDEX IF NOT EXISTS objects_by_manifest ON objects (grp, manifest);

CREATE INDEX IF NOT EXISTS objects_by_segment ON objects (grp, class, segment);

CREATE INDEX IF NOT EXISTS objects_by_content ON objects (sha256);

CREATE INDEX IF NOT EXISTS objects_by_end ON objects (due_at);

CREATE INDEX IF NOT EXISTS objects_by_source ON objects (source);

-- Problems, open and closed. At most one finding of the same kind, store and key is open.
CREATE TABLE IF NOT EXISTS findings (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL, -- findings.js
  store TEXT NOT NULL, -- name of a copy
  key TEXT NOT NULL,
  detail TEXT NOT NULL, -- for operators
  found_at TEXT NOT NULL,
  seen_at TEXT NOT NULL, -- last time that it was found
  closed_at TEXT,
  outcome TEXT -- why it was closed: repaired, copied, gone, resolved
);

CREATE UNIQUE INDEX IF NOT EXISTS findings_open ON findings (kind, store, key) WHERE closed_at IS NULL;

-- Audit log of promotions, planned deletions, cancelled plans and deletions. Rows are never changed.
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

-- Leases: the Workers that run now, so that two invocations do not do the same work.
CREATE TABLE IF NOT EXISTS leases (
  worker TEXT PRIMARY KEY,
  until TEXT NOT NULL
) WITHOUT ROWID;
