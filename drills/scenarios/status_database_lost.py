"""The status page's D1 database is deleted: the page shows the live check, and records again with a new database."""

from drills.running.scenario import Scenario, Step
from drills.running.stage import Stage


def delete_database(stage: Stage) -> None:
    stage.edge.probe()
    stage.edge.recorded()
    stage.edge.lose_database("status")

    def without_history() -> bool:
        page = stage.edge.status_page()
        return page is not None and not page.has_history

    moment = stage.until("the status page says that it has no history", without_history, 60)
    stage.timeline.add("detection", "the status page answers, without its history", moment)
    page = stage.edge.status_page()
    found = "no answer" if page is None else page.components.get("api", "absent")
    stage.check("without its database, the page still checks the API", found == "operational", f"API {found}")


def create_again(stage: Stage) -> None:
    stage.rebuild()
    first = stage.edge.recorded()
    stage.served_again(f"the status page has recorded the minute {first} in a new database")


def watch_recording(stage: Stage) -> None:
    later = stage.edge.recorded()
    stage.check("the page goes on recording", bool(later), f"recorded {later}")
    stage.edge.check_not_affected()


SCENARIO = Scenario(
    name="status-database-lost",
    title="Status page's database lost",
    situation=(
        "The D1 database of the status page is gone, with all samples, incidents and contacts. The page shows the "
        "live check only."
    ),
    promises=("STA-1", "STA-2"),
    recovery_seconds=300,
    not_at_aws="a deleted D1 database takes the recorded uptime of customers with it",
    steps=(
        Step("Delete the D1 database of the status page.", delete_database, operator=False),
        Step("Run `pulumi refresh` and `pulumi up`: they create an empty database.", create_again),
        Step("Wait for another minute.", watch_recording),
    ),
)
