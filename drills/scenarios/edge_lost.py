"""Cloudflare's edge is down: the database serves on, its WAL waits, and everything catches up afterwards."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage

DOWN_SECONDS = 60


def lose_edge(stage: Stage) -> None:
    stage.edge.probe()
    stage.edge.stop()
    stage.edge.failed()
    stage.pass_time(DOWN_SECONDS)
    stage.check_writes_go_on("the database serves without the edge")
    stage.memory["segments"] = {
        group: stage.sql(group, "SELECT pg_walfile_name(pg_switch_wal())") for group in stage.groups
    }
    stage.edge.start()


def wait_for_api(stage: Stage) -> None:
    stage.edge.served()


def wait_for_archive(stage: Stage) -> None:
    for group, segment in stage.memory["segments"].items():
        archived = f"SELECT coalesce(last_archived_wal >= '{segment}', false) FROM pg_stat_archiver"
        stage.until(
            f"{group} archives {segment}",
            lambda group=group, archived=archived: stage.sql(group, archived) == "t",
            300,
        )
        stage.check(f"WAL of {group} from the outage is archived", True, f"up to {segment}")
    stage.healthy()


SCENARIO = Scenario(
    name="edge-lost",
    title="Cloudflare's edge lost",
    situation="No Worker runs, R2 does not answer, and the tunnels are down. The database serves; its WAL waits.",
    promises=("REC-1",),
    recovery_seconds=180,
    not_at_aws="nobody can stop Cloudflare's edge",
    steps=(
        Step(f"End the whole edge at once, and start it again after {DOWN_SECONDS} s.", lose_edge, operator=False),
        Step("Do nothing: the tunnels connect again, and the API serves.", wait_for_api),
        Step("Wait until the WAL from the outage is archived, and all machines are healthy.", wait_for_archive),
    ),
)
