"""An hour of faults while clients write: no commit is lost, the status page counts the outages, no process grows."""

import time
from datetime import UTC, datetime

from drills.failover.faults import Fault, plan, resolve
from drills.running.memory import PERIOD, Sampler
from drills.running.scenario import Scenario, Step
from drills.running.soak import SKIPPED, compared, ends, grown, judged, outages, overlooked, skipped, tolerance
from drills.running.stage import Stage
from sandbox.machines.processes import Group

SECONDS, EVERY_SECONDS, SEED = 3600.0, 120.0, 1
LIMIT_SECONDS = 120.0
MOST_SAMPLES = 0.8
"""This share of the rounds must have taken samples, also on a busy computer."""
SERVED = "coordinator"  # the page's samples ask for this group's health


def begin(stage: Stage) -> None:
    stage.edge.probe()
    fleet, place = stage.fleet(), stage.fleet().place
    others = {name: Group(f"{place.prefix}/{name}") for name in ("edge", "services", "haproxy")}
    stage.memory["sampler"] = Sampler({name: fleet.machine(name) for name in fleet.instances}, others)
    stage.memory["sampler"].start()
    stage.memory["begun"] = time.monotonic()
    stage.memory["faults"] = []
    count = int(SECONDS // EVERY_SECONDS)
    for fault, due in zip(plan(SEED, count), ends(SEED, count, EVERY_SECONDS), strict=True):
        _play(stage, fault)
        stage.pass_time(max(0.0, stage.memory["begun"] + due - time.monotonic()))
    stage.memory["ended"] = time.time()
    stage.memory["sampler"].stop()


def _play(stage: Stage, fault: Fault) -> None:
    """Let a fault begin and end, and wait until every machine is healthy and every group serves."""
    fleet = stage.fleet()
    target = resolve(fault, fleet.situation())
    text = f"{fault.kind}: {target.name} for {fault.hold:.0f} s"
    stage.memory["faults"].append((text, time.time()))
    stage.timeline.add("fault", text)
    fleet.begin(fault.kind.action, target.name, target.machines)
    if fault.kind.action != "reboot":
        stage.pass_time(fault.hold)
    fleet.end(fault.kind.action, target.name, target.machines)
    stage.until(f"every machine is healthy after {text}", lambda: not fleet.unhealthy(), 600, pause=3)
    for group in stage.groups:
        stage.until(f"{group} serves after {text}", lambda group=group: stage.traffic.serves(group), 120)


def compare(stage: Stage) -> None:
    offset = time.time() - time.monotonic()
    times = [one.acknowledged for one in stage.traffic.commits(SERVED)]
    since = stage.memory["begun"]
    waits = {group: stage.traffic.outage(group, since, time.monotonic()) for group in stage.groups}
    stage.check(
        f"no group is without an acknowledged commit for longer than {LIMIT_SECONDS:g} s in the whole time",
        max(waits.values()) <= LIMIT_SECONDS,
        ", ".join(f"{group} {wait:.1f} s" for group, wait in waits.items()),
    )
    pauses = [one for one in outages(times) if one[1] >= since]
    longest = max(pauses, key=lambda one: one[1] - one[0], default=(since, since))
    stage.fault_at, stage.served_at = longest
    absolute = [(before + offset, after + offset) for before, after in pauses]
    down, up = _minutes(stage)
    found = compared(stage.memory["faults"], stage.memory["ended"], absolute, down)
    wrong = [one for one in found if not one.agrees]
    lasted, counted = sum(one.outage for one in found), sum(one.minutes for one in found)
    allowed = tolerance([one.outage for one in found])
    stage.check(
        "the status page counts each outage within one minute",
        not wrong,
        "; ".join(f"{one.text}: {one.outage:.0f} s, {one.minutes} min on the page" for one in wrong)
        or f"{len(found)} faults; clients had {lasted / 60:.1f} min of outages, the page counts {counted} min",
    )
    stage.check(
        f"the page's downtime in the whole time differs from the clients' outages by at most {allowed:.1f} min",
        abs(counted - lasted / 60) <= allowed,
        f"{lasted / 60:.1f} min of outages, {counted} min on the page",
    )
    without, minutes = skipped(stage.memory["faults"][0][1], stage.memory["ended"], down | up)
    stage.check(
        "the status page samples the minutes", without <= minutes // SKIPPED, f"{without} of {minutes} without a sample"
    )
    hidden = overlooked(absolute, up)
    stage.check(
        "the page counts no minute as up in whose sample no client was served",
        not hidden,
        ", ".join(f"{datetime.fromtimestamp(60 * one, UTC):%H:%M} UTC" for one in hidden) or "none",
    )
    samples = stage.memory["sampler"].samples
    least = int(MOST_SAMPLES * (time.monotonic() - since) / PERIOD)
    larger, known, rounds = grown(samples), judged(samples), stage.memory["sampler"].rounds
    shown = (f"{name}: {before} to {after} KiB" for name, (before, after) in sorted(larger.items()))
    # Without samples, nothing is known.
    stage.check(
        "no process has more than 10 % and 8 MiB more memory in the last third of the time than in the middle third",
        bool(known) and not larger and rounds >= least,
        "; ".join(shown)
        or f"{len(known)} of {len(samples)} programs have enough samples; {rounds} rounds (at least {least})",
    )


def _minutes(stage: Stage) -> tuple[set[int], set[int]]:
    """Return the minutes that the status page counts as down and as up, in the months of the soak."""
    first = stage.memory["faults"][0][1]
    months = {f"{datetime.fromtimestamp(moment, UTC):%Y-%m}" for moment in (first, stage.memory["ended"])}
    runs = [run for month in sorted(months) for run in stage.edge.account(month).runs]
    found: tuple[set[int], set[int]] = set(), set()
    for begin, length, state in runs:
        found[state != "down"].update(range(begin, begin + length))
    return found


SCENARIO = Scenario(
    name="soak",
    title="An hour with a fault every two minutes",
    situation="Machines, zones, disks and networks fail one after the other for an hour, while clients write.",
    promises=("RED-2", "RED-3", "SLA-1"),
    recovery_seconds=LIMIT_SECONDS,
    steps=(
        Step("Let a random fault begin every two minutes, and end it within 40 s.", begin, operator=False),
        Step(
            "Compare the clients' outages with the status page's downtime, and each program's memory over the hour.",
            compare,
        ),
    ),
)
