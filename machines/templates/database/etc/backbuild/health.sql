-- Creates the functions that the API's health report calls. Run it as a superuser in the application's database. It is
-- idempotent.
SET citus.enable_ddl_propagation = off; -- each group runs this script itself; without Citus the setting has no effect

CREATE SCHEMA IF NOT EXISTS backbuild;

CREATE TABLE IF NOT EXISTS backbuild.heartbeat (
    id boolean PRIMARY KEY DEFAULT true CHECK (id), -- one row
    beat timestamptz NOT NULL
);
INSERT INTO backbuild.heartbeat (beat) VALUES ('-infinity') ON CONFLICT DO NOTHING;

-- Returns whether a write can commit, and the streaming standbys of this member. The result is valid once the transaction
-- has committed.
CREATE OR REPLACE FUNCTION backbuild.health(
    OUT writable boolean, OUT standbys integer, OUT synchronous_standbys integer, OUT lag_bytes bigint
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    writable := NOT current_setting('transaction_read_only')::boolean; -- always read-only on a standby
    IF NOT writable THEN
        RETURN;
    END IF;
    -- A visible beat has committed, so one beat in five seconds proves for all sessions that writes commit. The first
    -- session that sees an older beat locks the row and writes the next one. The other sessions poll without waiting for
    -- the lock, until that write commits or their statement times out.
    WHILE (SELECT beat NOT BETWEEN clock_timestamp() - interval '5s' AND clock_timestamp() FROM backbuild.heartbeat) LOOP
        PERFORM FROM backbuild.heartbeat FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE backbuild.heartbeat SET beat = clock_timestamp();
        ELSE
            PERFORM pg_sleep(0.02);
        END IF;
    END LOOP;
    -- Only standbys replay WAL; other receivers (pg_receivewal, base backups) have no replay_lsn.
    SELECT count(*), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')),
        max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))
    INTO standbys, synchronous_standbys, lag_bytes
    FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL;
END $$;

-- Returns whether the leader of each Citus worker group has a streaming synchronous standby; null if one does not answer.
CREATE OR REPLACE FUNCTION backbuild.worker_groups_replicated()
RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    replicated boolean := true; -- without Citus there are no worker groups
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
