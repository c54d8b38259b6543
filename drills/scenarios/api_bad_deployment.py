"""A deployment of the API that fails every request: roll it back."""

from drills.running.rolling import broken_project
from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage
from drills.scenarios.api_tier_lost import watch_database


def deploy(stage: Stage) -> None:
    stage.edge.probe()
    stage.fault("a version of the API that fails every request is deployed")
    stage.deploy(broken_project(stage.root, stage.folder / "broken"))
    answer = stage.edge.failed()
    stage.check("clients get an error, not silence", answer.status >= 500, f"status {answer.status}")


def roll_back(stage: Stage) -> None:
    stage.deploy(stage.root)
    stage.edge.served()


SCENARIO = Scenario(
    name="api-bad-deployment",
    title="Bad API deployment, rolled back",
    situation="A new version of the API gets all requests and fails them. The database is healthy.",
    promises=("REC-1",),
    recovery_seconds=300,
    runbook="api-rollout.md",
    steps=(
        Step("Deploy an API that fails every request.", deploy, operator=False),
        Step("Revert the change and run `pulumi up`: the former modules are uploaded as a new version.", roll_back),
        Step("Check that it reaches the database, which has served all the time.", watch_database),
    ),
)
