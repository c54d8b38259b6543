-- Minutes of each component in each state, by day. The page draws its 90 days from this table. A trigger on `samples`
-- updates it in the same transaction. (In all migrations, a blank line separates two statements.)
CREATE TABLE IF NOT EXISTS days (
  day INTEGER NOT NULL, -- since 1970-01-01, UTC
  component TEXT NOT NULL,
  ok INTEGER NOT NULL,
  degraded INTEGER NOT NULL,
  down INTEGER NOT NULL,
  unknown INTEGER NOT NULL,
  PRIMARY KEY (day, component)
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS count_sample AFTER INSERT ON samples
BEGIN
  INSERT INTO days VALUES (
    NEW.minute / 1440, NEW.component,
    NEW.status = 'ok', NEW.status = 'degraded', NEW.status = 'down', NEW.status = 'unknown'
  )
  ON CONFLICT (day, component) DO UPDATE SET
    ok = ok + excluded.ok, degraded = degraded + excluded.degraded,
    down = down + excluded.down, unknown = unknown + excluded.unknown;
END;

INSERT OR REPLACE INTO days
SELECT minute / 1440, component, SUM(status = 'ok'), SUM(status = 'degraded'), SUM(status = 'down'), SUM(status = 'unknown')
FROM samples GROUP BY 1, 2;
