"""The API's Cloudflare Worker is deleted: deploy it again from nothing."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def delete_worker(stage: Stage) -> None:
    stage.edge.probe()
    stage.edge.lose_worker("api")
    stage.edge.failed()


def deploy_again(stage: Stage) -> None:
    stage.rebuild()
    stage.edge.served()


def watch_database(stage: Stage) -> None:
    stage.check_writes_go_on("the database serves all the time")
    health = stage.edge.answers[-1].components
    stage.check("the new API reaches the database", health.get("database") == "ok", health.get("database", "no answer"))


SCENARIO = Scenario(
    name="api-tier-lost",
    title="API tier lost, deployed again from nothing",
    situation="The API's Cloudflare Worker is gone, with its versions, its deployment, its domain and its route.",
    promises=("REC-1",),
    recovery_seconds=300,
    runbook="api-rollout.md",
    not_at_aws=None,
    steps=(
        Step("Delete the API's Worker at Cloudflare, with all that belongs to it.", delete_worker, operator=False),
        Step("Run `pulumi refresh` and `pulumi up`: they deploy it again.", deploy_again),
        Step("Check that it reaches the database, which has served all the time.", watch_database),
    ),
)
