-- Receivers of notifications.
CREATE TABLE IF NOT EXISTS contacts (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  channel TEXT NOT NULL CHECK (channel IN ('email', 'webhook')),
  address TEXT NOT NULL,
  components TEXT CHECK (json_valid(components)), -- null: all
  minimum INTEGER NOT NULL CHECK (minimum BETWEEN 0 AND 3), -- incidents of a smaller impact are not sent
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- The outbox: one row for each update and contact. A run leases a delivery: it moves `due_at` to the end of the lease. If
-- the run crashes, a later run takes the delivery again after that time.
CREATE TABLE IF NOT EXISTS deliveries (
  update_id TEXT NOT NULL,
  contact TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead', 'cancelled')),
  attempts INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  taken_by TEXT,
  settled_at INTEGER,
  failure TEXT, -- kind of the last failure, without its message
  PRIMARY KEY (update_id, contact)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at) WHERE state = 'pending';

CREATE INDEX IF NOT EXISTS deliveries_by_contact ON deliveries (contact, state);

-- Fills the outbox in the transaction that inserts the update. A contact that has a delivery about a subject gets all
-- later updates of that subject, even if their impact is below the contact's minimum.
CREATE TRIGGER IF NOT EXISTS fan_out AFTER INSERT ON updates
BEGIN
  INSERT INTO deliveries (update_id, contact, state, attempts, due_at)
  SELECT NEW.id, contacts.id, 'pending', 0, NEW.at FROM contacts
  WHERE (
    (NEW.impact IS NULL OR NEW.impact >= contacts.minimum)
    AND (
      contacts.components IS NULL OR NEW.components = '[]' OR EXISTS (
        SELECT 1 FROM json_each(contacts.components) AS wanted JOIN json_each(NEW.components) AS affected
        ON wanted.value = affected.value
      )
    )
  ) OR EXISTS (
    SELECT 1 FROM deliveries JOIN updates ON updates.id = deliveries.update_id
    WHERE deliveries.contact = contacts.id AND updates.subject = NEW.subject
  );
END;

CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  operator TEXT NOT NULL,
  action TEXT NOT NULL, -- 'incident.declare' …
  subject TEXT NOT NULL,
  details TEXT NOT NULL CHECK (json_valid(details))
);

-- An idempotency key is unique, so that a repeated call is recognised.
CREATE UNIQUE INDEX IF NOT EXISTS audit_by_key ON audit (details ->> 'key');

-- The audit log is append-only.
CREATE TRIGGER IF NOT EXISTS audit_keeps BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER IF NOT EXISTS audit_stays BEFORE DELETE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
