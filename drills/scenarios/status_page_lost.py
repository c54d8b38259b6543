"""The status page's Cloudflare Worker is deleted: the API is not affected, and the history is kept."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage
from drills.sites.site import SiteError


def delete_worker(stage: Stage) -> None:
    stage.edge.probe()
    page = stage.edge.status_page()
    if page is None:
        raise SiteError("the status page does not answer before the fault; bring it up with `sandbox up --live`")
    stage.memory["incidents"] = page.incidents
    stage.edge.lose_worker("status")
    moment = stage.until("the status page does not answer", lambda: stage.edge.status_page() is None, 60)
    stage.timeline.add("detection", "the status page does not answer", moment)


def deploy_again(stage: Stage) -> None:
    stage.rebuild()
    stage.until("the status page answers", lambda: stage.edge.status_page() is not None, 120)
    stage.served_again("the status page answers again")


def compare(stage: Stage) -> None:
    recorded = stage.edge.recorded()
    stage.check("the page goes on recording", bool(recorded), f"recorded {recorded}")
    page = stage.edge.status_page()
    missing = stage.memory["incidents"] - (frozenset[str]() if page is None else page.incidents)
    stage.check("no incident is lost", not missing, f"{len(missing)} of {len(stage.memory['incidents'])} lost")
    stage.edge.check_not_affected()


SCENARIO = Scenario(
    name="status-page-lost",
    title="Status page lost",
    situation="The status page's Cloudflare Worker is gone, with its domain and schedule. Its database is intact.",
    promises=("STA-1", "STA-2"),
    recovery_seconds=300,
    not_at_aws="customers read the page; rehearse on another account",
    steps=(
        Step("Delete the status page's Worker, with all that belongs to it.", delete_worker, operator=False),
        Step("Run `pulumi refresh` and `pulumi up`: they deploy it again.", deploy_again),
        Step("Check that it records, and that no incident is lost.", compare),
    ),
)
