-- What the API's health report asks the database. Run in its database, by a superuser, as often as you like.
SET citus.enable_ddl_propagation = off; -- each group makes its own, and without Citus nobody reads this

CREATE SCHEMA IF NOT EXISTS backbuild;

CREATE TABLE IF NOT EXISTS backbuild.heartbeat (
    id boolean PRIMARY KEY DEFAULT true CHECK (id), -- one row
    beat timestamptz NOT NULL
);
INSERT INTO backbuild.heartbeat (beat) VALUES ('-infinity') ON CONFLICT DO NOTHING;

-- Whether a write commits, and who streams from this member. The answer holds once the transaction has ended.
CREATE OR REPLACE FUNCTION backbuild.health(
    OUT writable boolean, OUT standbys integer, OUT synchronous_standbys integer, OUT lag_bytes bigint
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    writable := NOT current_setting('transaction_read_only')::boolean; -- a standby's always is
    IF NOT writable THEN
        RETURN;
    END IF;
    -- A beat that others can see has committed, so one in five seconds is proof enough for everybody. Whoever finds it
    -- old writes the next one; the others look again, never waiting for a lock, until it commits or their time is up.
    WHILE (SELECT beat NOT BETWEEN clock_timestamp() - interval '5s' AND clock_timestamp() FROM backbuild.heartbeat) LOOP
        PERFORM FROM backbuild.heartbeat FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE backbuild.heartbeat SET beat = clock_timestamp();
        ELSE
            PERFORM pg_sleep(0.02);
        END IF;
    END LOOP;
    -- A standby replays; what only receives WAL does not.
    SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')),
        max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))
    INTO standbys, synchronous_standbys, lag_bytes
    FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL;
END $$;

-- Whether each worker group's leader has a synchronous standby that streams; null when one of them cannot be asked.
CREATE OR REPLACE FUNCTION backbuild.worker_groups_replicated()
RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    replicated boolean := true; -- without Citus there are no others
BEGIN
    IF to_regprocedure('run_command_on_workers(text,boolean)') IS NOT NULL THEN
        EXECUTE $ask$
            SELECT CASE WHEN bool_and(success) IS NOT FALSE THEN bool_and(result = 't') IS NOT FALSE END
            FROM run_command_on_workers($standbys$
                SELECT count(*) > 0 FROM pg_stat_replication
                WHERE state = 'streaming' AND replay_lsn IS NOT NULL AND sync_state IN ('sync', 'quorum')
            $standbys$)
        $ask$ INTO replicated;
    END IF;
    RETURN replicated;
END $$;

REVOKE ALL ON FUNCTION backbuild.health(), backbuild.worker_groups_replicated() FROM PUBLIC;
GRANT USAGE ON SCHEMA backbuild TO {{ application_role }};
GRANT EXECUTE ON FUNCTION backbuild.health(), backbuild.worker_groups_replicated() TO {{ application_role }};
