"""Random outages under random trouble: every notification must be sent once, and every minute must add up.

`python -m drills.outages --outages 1000` is the long run; test_status_outages.py runs a small one. Time is
simulated, everything else is real: the scripts in workerd, D1, e-mails, webhooks over HTTP.

Trouble is: cron calls left out, called twice in a row or at once, late; the Worker ending before or after any of its
steps; receivers that refuse, hang up, or acknowledge too late; e-mail that fails.
"""

from __future__ import annotations

import argparse
import email
import email.policy
import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.status import MINUTE, START, Status, at
from harness.status_world import World, start_status
from harness.webhooks import Hook
from harness.workerd import Host

STEPS = 18  # about as many as a cron call has when it says something to eight contacts
REFUSALS = 6  # of one delivery, at most: the tenth attempt is the last
IMPACTS = {"database": 3, "objectStorage": 2}
CONTACTS = {  # name: address, components, least impact
    "all": ("https://hook.example/all", None, 0),
    "grave": ("https://hook.example/grave", None, 3),
    "storage": ("https://hook.example/storage", ["objectStorage"], 1),
    "both": ("https://hook.example/both", ["database", "objectStorage"], 2),
    "ann": ("ann@customer.example", None, 0),
    "bob": ("bob@customer.example", ["database"], 3),
}


@dataclass
class Result:
    """What came out; `problems` is empty when all promises were kept."""

    outages: int
    calls: int
    falls: int
    copies: int
    deliveries: int
    minutes: Counter[str]
    problems: list[str]


@dataclass
class Run:
    """One run's dice and books."""

    status: Status
    dice: random.Random
    minute: int = 0
    calls: int = 0
    falls: int = 0
    expected: set[str] = field(default_factory=set[str])  # ids of deliveries
    arrived: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])

    def answer(self, hook: Hook) -> int | None:
        """Play a receiver: it may take the message and yet not say so."""
        if hook.host != "hook.example":
            return 204  # an operators' alarm, which no contact is owed
        trouble = self.dice.random() < 0.3 and self.refused[hook.id] < REFUSALS
        if trouble:
            self.refused[hook.id] += 1
        kind = self.dice.randrange(3) if trouble else None
        if kind in (None, 2):
            self.arrived[hook.id] += 1
        return {None: 204, 0: 500, 1: None, 2: None}[kind]

    def calm(self, minutes: int) -> None:
        """Let minutes pass in which the cron itself is sound."""
        for _ in range(minutes):
            self.call({})

    def rough(self, minutes: int) -> None:
        """Let minutes pass in which anything may happen to the cron."""
        for _ in range(minutes):
            kind = self.dice.choice(["fine", "left out", "twice", "at once", "falls", "falls", "late", "no mail"])
            fall = {"at": self.dice.randrange(STEPS), "after": self.dice.random() < 0.5}
            if kind == "left out":
                self.minute += 1
            elif kind == "twice":
                self.call({}, pass_by=0)
                self.call({})
            elif kind == "at once":
                clock = at(self.minute)
                one = {"op": "scheduled", "time": clock, "instruction": {"clock": clock}}
                other = {"op": "scheduled", "time": clock, "instruction": {"clock": clock, "fall": fall}}
                self.status.host.together(one, other, one)
                self.calls += 3
                self.falls += 1
                self.minute += 1
            elif kind == "falls":
                self.falls += 1
                self.call({"fall": fall})
            elif kind == "late":
                self.call({"clock": at(self.minute + 0.9)})
            else:
                self.call({"broken": ["EMAIL"]} if kind == "no mail" else {})

    def call(self, instruction: dict[str, object], *, pass_by: int = 1) -> None:
        """Call the cron once; `pass_by` is how many minutes pass then."""
        clock = at(self.minute)
        self.status.host.scheduled(clock, **{"clock": clock, **instruction})
        self.calls += 1
        self.minute += pass_by

    def outage(self) -> None:
        """One component fails, is seen to fail, recovers, and is seen to recover."""
        component = self.dice.choice(list(IMPACTS))
        known = self.subjects()
        # One in ten happens during maintenance.
        work = f"work-{self.minute}" if self.dice.random() < 0.1 else None
        if work is not None:
            self.status.maintenance(work, self.minute, self.minute + 12, component)
            self.calm(1)
        self.status.world.status = 503 if component == "database" else 200
        down = {"database": "down"} if component == "database" else {"objectStorage": "down"}
        self.status.world.body = json.dumps(
            {
                "status": "down" if component == "database" else "degraded",
                "components": {name: {"status": "ok"} for name in ("edge", "database", "replication", "objectStorage")}
                | {name: {"status": state} for name, state in down.items()},
            }
        )
        self.rough(self.dice.randrange(1, 6))
        self.calm(2)
        self.rough(self.dice.randrange(3))
        self.status.world.well()
        self.rough(self.dice.randrange(1, 5))
        self.calm(2)
        if work is not None:
            self.calm(12)
            self.expect([f"{work}-started", f"{work}-completed"], component, None)
        else:
            (subject,) = self.subjects() - known or {f"{component}: no incident at {at(self.minute)}"}
            self.expect([f"{subject}-opened", f"{subject}-resolved"], component, IMPACTS[component])

    def subjects(self) -> set[str]:
        """Return the ids of all incidents."""
        return {name for (name,) in self.status.rows("SELECT id FROM incidents")}

    def expect(self, updates: Iterable[str], component: str, impact: int | None) -> None:
        """Write down who must hear of it, by the rules and not by the Worker's tables."""
        for contact, (_, wanted, least) in CONTACTS.items():
            if (wanted is None or component in wanted) and (impact is None or impact >= least):
                self.expected |= {f"{update}_{contact}" for update in updates}

    def drain(self) -> None:
        """Let time pass until nothing is owed."""
        for _ in range(60):
            ((due,),) = self.status.rows("SELECT MAX(due_at) FROM deliveries WHERE state = 'pending'")
            if due is None:
                return
            self.minute = max(self.minute, due // 60_000 - MINUTE + 1)
            self.calm(1)

    def problems(self, letters: Counter[str]) -> list[str]:
        """Compare what is recorded and what arrived with what is owed."""
        states = self.status.rows("SELECT update_id || '_' || contact, state FROM deliveries")
        recorded = Counter(name for name, _ in states)
        arrived = self.arrived + letters
        return [
            *(f"not delivered: {name} ({state})" for name, state in states if state != "delivered"),
            *(f"owed and not recorded: {name}" for name in self.expected - set(recorded)),
            *(f"recorded and not owed: {name}" for name in set(recorded) - self.expected),
            *(f"never arrived: {name}" for name in self.expected - set(arrived)),
            *(f"arrived and not owed: {name}" for name in set(arrived) - self.expected),
            *self._needless_letters(letters),
        ]

    def _needless_letters(self, letters: Counter[str]) -> list[str]:
        """Only a fall between sending and recording excuses a second copy, of each of the five that were under way."""
        second = letters.total() - len(letters)
        return [f"{second} letters too many after {self.falls} falls"] if second > 5 * self.falls else []


def run(host: Host, outages: int, seed: int) -> Result:
    """Play `outages` of them on a fresh Worker."""
    world = World()
    with world.serving() as address:
        start_status(host, address)
        play = Run(Status(host, world), random.Random(seed))
        world.answer = play.answer
        play.calm(1)
        for name, (contact, components, minimum) in CONTACTS.items():
            play.status.contact(name, contact, components=components, minimum=minimum)
        letters: Counter[str] = Counter()
        for _ in range(outages):
            play.outage()
            letters += _ids(host.emails())
        play.drain()
        letters += _ids(host.emails())
        minutes, wrong = _account(play)
        return Result(
            outages=outages,
            calls=play.calls,
            falls=play.falls,
            copies=sum(play.arrived.values()) + sum(letters.values()) - len(play.expected),
            deliveries=len(play.expected),
            minutes=minutes,
            problems=play.problems(letters) + wrong,
        )


def _ids(letters: list[str]) -> Counter[str]:
    """The ids of the letters to contacts; alarms to the operators are not owed to any contact."""
    parsed = [email.message_from_string(raw, policy=email.policy.default) for raw in letters]
    names = [letter["message-id"] for letter in parsed if not str(letter["to"]).endswith("@operator.example")]
    return Counter(name.removeprefix("<").removesuffix("@status.example>") for name in names)


def _account(play: Run) -> tuple[Counter[str], list[str]]:
    """Count every minute from the raw samples, and hold the published statements to it."""
    samples = dict(play.status.rows("SELECT minute, status FROM samples WHERE component = 'platform'"))
    windows = play.status.rows("SELECT start_minute, end_minute FROM maintenances WHERE components LIKE '%database%'")
    excusing = {minute for start, end in windows for minute in range(start, end)}
    horizon = max(MINUTE + play.minute, *(minute + 1 for minute in samples))
    counted: dict[str, Counter[str]] = {}
    for minute in range(min(samples), horizon):
        kind = {"ok": "up", "degraded": "up", "down": "down"}.get(samples.get(minute, ""), "unknown")
        if kind != "up" and minute in excusing:
            kind = "excused"
        counted.setdefault(at(minute - MINUTE)[:7], Counter())[kind] += 1
    wrong: list[str] = []
    for month, expected in counted.items():
        answer = play.status.get(f"/sla/{month}.json", play.minute)
        published = {name: count for name, count in json.loads(answer["body"])["statement"]["minutes"].items() if count}
        if published != dict(expected):
            wrong.append(f"{month}: published {published}, counted {dict(expected)}")
    return sum(counted.values(), Counter[str]()), wrong


def main() -> int:
    """Run the drill; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--outages", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=START.year)
    chosen = parser.parse_args()
    host, began = Host(), time.monotonic()
    result = run(host, chosen.outages, chosen.seed)
    host.close()
    for problem in result.problems[:20]:
        print(problem)
    print(
        f"{result.outages} outages (seed {chosen.seed}), {result.calls} cron calls, {result.falls} falls: "
        f"{result.deliveries} deliveries, {result.copies} second copies under the same id; "
        f"minutes {dict(result.minutes)}; {len(result.problems)} problems; {time.monotonic() - began:.0f} s"
    )
    return 1 if result.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
