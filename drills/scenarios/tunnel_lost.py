"""No gateway has a connection to Cloudflare's edge: the API cannot reach the database, which serves on."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def stop_connectors(stage: Stage) -> None:
    stage.edge.probe()
    stage.edge.stop_tunnels()
    answer = stage.edge.failed()
    found = answer.components.get("database", "no report")
    stage.check("the API answers 503 and reports the database down", answer.status == 503 and found == "down", found)


def start_connectors(stage: Stage) -> None:
    stage.edge.start_tunnels()
    stage.edge.served()
    stage.check_writes_go_on("the database itself serves all the time")
    stage.healthy()


SCENARIO = Scenario(
    name="tunnel-lost",
    title="Tunnel to the edge lost",
    situation="The tunnel's connectors are down on all gateways. The API answers 503; the database is healthy.",
    promises=("REC-1",),
    recovery_seconds=60,
    not_at_aws=None,
    steps=(
        Step("Stop `backbuild-tunnel` on every gateway.", stop_connectors, operator=False),
        Step("Start it again: `systemctl start backbuild-tunnel`. Hyperdrive reconnects by itself.", start_connectors),
    ),
)
