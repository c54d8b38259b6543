-- Corrections of published texts. Contacts get a correction as a separate update (the notice), which is not on the page.
CREATE TABLE IF NOT EXISTS corrections (
  notice TEXT PRIMARY KEY, -- id of the notice
  target TEXT NOT NULL, -- the update whose text was corrected, or the incident or maintenance whose title was
  kind TEXT NOT NULL CHECK (kind IN ('amended', 'redacted')),
  at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS corrections_by_target ON corrections (target, at);

-- Extended ends of maintenances. `maintenances` keeps the announced end: only downtime before it is excused.
CREATE TABLE IF NOT EXISTS extensions (
  maintenance TEXT PRIMARY KEY,
  until_minute INTEGER NOT NULL -- exclusive
) WITHOUT ROWID;

-- The audit log is append-only, except that a redaction also removes the text from it.
DROP TRIGGER IF EXISTS audit_keeps;

CREATE TRIGGER IF NOT EXISTS audit_keeps_all_but_texts BEFORE UPDATE ON audit
WHEN NEW.id <> OLD.id OR NEW.at <> OLD.at OR NEW.operator <> OLD.operator OR NEW.action <> OLD.action
  OR NEW.subject <> OLD.subject
  OR NEW.details NOT IN (json_remove(OLD.details, '$.body'), json_remove(OLD.details, '$.title'))
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append-only');
END;
