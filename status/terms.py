"""The paragraphs of docs/terms-availability.md that depend on a stack's settings, as Markdown. Pure."""

from __future__ import annotations

from model.topology import Topology


def terms(topology: Topology) -> dict[str, str]:
    """Return the text of each generated block, by its name in the document."""
    settings = topology.settings
    maintenance, uptime = settings.maintenance, settings.uptime
    target = uptime.target_percent
    hours = f"{maintenance.duration_hours} hours from {maintenance.start_hour_utc:02}:00 UTC"
    promise = (
        f"The provider promises an uptime of at least **{target:g} %** in every month. A month of 30 days may have "
        f"{_budget(30, target)} minutes down, one of 31 days {_budget(31, target)}."
    )
    exclusions = (
        "A minute is excused only within maintenance that was announced on the status page at least "
        f"**{maintenance.notice_hours} hours** before its beginning, that affects an essential component, and that was "
        "not cancelled. Only minutes between the announced start and the announced end are excused: an early start or "
        "an extension excuses nothing. Emergency maintenance, announced later or not at all, excuses nothing. Routine "
        f"maintenance ({maintenance.weekday.value}, {hours}) is rolling and is not announced as an interruption: its "
        "minutes count."
    )
    credits = [
        "| uptime of the month | credit, in percent of the month's fee |",
        "|---|---|",
        *(f"| below {one.below_percent:g} % | {one.credit_percent} % |" for one in uptime.credits),
    ]
    notice = (
        f"Disruptive maintenance is announced to the customer's contacts at least {maintenance.notice_hours} hours "
        "before its beginning, and again when it begins and ends. Emergency maintenance is possible without notice; it "
        "is recorded on the status page, and its minutes count."
    )
    return {"promise": promise, "exclusions": exclusions, "credits": "\n".join(credits), "notice": notice}


def _budget(days: int, target: float) -> str:
    return f"{days * 1_440 * (100 - target) / 100:.2f}"


def blocks(topology: Topology) -> str:
    """Return all blocks with the comments that enclose them in the document."""
    return "\n\n".join(
        f"<!-- terms {topology.stack} {name} -->\n{text}\n<!-- /terms -->" for name, text in terms(topology).items()
    )
