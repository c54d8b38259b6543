"""Random outages with random faults of the status Worker (a Cloudflare Worker).

Each notification must be delivered once, and the published minutes must equal the sum of the raw samples.

`python -m drills.outages --outages 1000` is the long run; test_status_outages.py runs a small one. Time is
simulated, everything else is real: the scripts in workerd, D1, e-mails, webhooks over HTTP.

The faults: a cron call is missing, late, repeated or concurrent with another; the Worker crashes before or after any of
its steps; a receiver refuses, closes the connection, or acknowledges too late; sending e-mail fails.
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

STEPS = 18  # about the number of steps of a cron call that notifies eight contacts
MAXIMUM_FAILURES = 6  # of one delivery: the Worker gives up after the tenth attempt
IMPACTS = {"database": 3, "objectStorage": 2}
CONTACTS = {  # name: address, components, minimum impact
    "all": ("https://hook.example/all", None, 0),
    "grave": ("https://hook.example/grave", None, 3),
    "storage": ("https://hook.example/storage", ["objectStorage"], 1),
    "both": ("https://hook.example/both", ["database", "objectStorage"], 2),
    "ann": ("ann@customer.example", None, 0),
    "bob": ("bob@customer.example", ["database"], 3),
}


@dataclass
class Result:
    """The result of a drill. `problems` is empty if all promises were kept."""

    outages: int
    calls: int
    crashes: int
    duplicates: int
    deliveries: int
    minutes: Counter[str]
    problems: list[str]


@dataclass
class Run:
    """One drill: its random numbers, its clock, and the expected and received deliveries."""

    status: Status
    chance: random.Random
    minute: int = 0
    calls: int = 0
    crashes: int = 0
    expected: set[str] = field(default_factory=set[str])  # ids of deliveries
    received: Counter[str] = field(default_factory=Counter[str])
    failures: Counter[str] = field(default_factory=Counter[str])

    def answer(self, hook: Hook) -> int | None:
        """Act as a receiver, which sometimes fails or accepts the message without an acknowledgement."""
        if hook.host != "hook.example":
            return 204  # an alarm to operators, not a notification of a contact
        fails = self.chance.random() < 0.3 and self.failures[hook.id] < MAXIMUM_FAILURES
        if fails:
            self.failures[hook.id] += 1
        kind = self.chance.randrange(3) if fails else None
        if kind in (None, 2):
            self.received[hook.id] += 1
        return {None: 204, 0: 500, 1: None, 2: None}[kind]

    def run_cron(self, minutes: int) -> None:
        """Let some minutes pass, with one cron call in each."""
        for _ in range(minutes):
            self.call({})

    def run_faulty_cron(self, minutes: int) -> None:
        """Let some minutes pass, with a random fault of the cron or the Worker in each."""
        for _ in range(minutes):
            kind = self.chance.choice(
                ["none", "missing", "repeated", "concurrent", "crash", "crash", "late", "e-mail fails"]
            )
            crash = {"at": self.chance.randrange(STEPS), "after": self.chance.random() < 0.5}
            if kind == "missing":
                self.minute += 1
            elif kind == "repeated":
                self.call({}, minutes=0)
                self.call({})
            elif kind == "concurrent":
                clock = at(self.minute)
                one = {"op": "scheduled", "time": clock, "instruction": {"clock": clock}}
                other = {"op": "scheduled", "time": clock, "instruction": {"clock": clock, "fall": crash}}
                self.status.host.together(one, other, one)
                self.calls += 3
                self.crashes += 1
                self.minute += 1
            elif kind == "crash":
                self.crashes += 1
                self.call({"fall": crash})
            elif kind == "late":
                self.call({"clock": at(self.minute + 0.9)})
            else:
                self.call({"broken": ["EMAIL"]} if kind == "e-mail fails" else {})

    def call(self, instruction: dict[str, object], *, minutes: int = 1) -> None:
        """Call the cron once, then let `minutes` pass."""
        clock = at(self.minute)
        self.status.host.scheduled(clock, **{"clock": clock, **instruction})
        self.calls += 1
        self.minute += minutes

    def outage(self) -> None:
        """Let one component fail until it is detected, then recover until that is detected."""
        component = self.chance.choice(list(IMPACTS))
        known = self.subjects()
        # One outage in ten happens during maintenance.
        work = f"work-{self.minute}" if self.chance.random() < 0.1 else None
        if work is not None:
            self.status.maintenance(work, self.minute, self.minute + 12, component)
            self.run_cron(1)
        self.status.world.status = 503 if component == "database" else 200
        down = {"database": "down"} if component == "database" else {"objectStorage": "down"}
        self.status.world.body = json.dumps(
            {
                "status": "down" if component == "database" else "degraded",
                "components": {name: {"status": "ok"} for name in ("edge", "database", "replication", "objectStorage")}
                | {name: {"status": state} for name, state in down.items()},
            }
        )
        self.run_faulty_cron(self.chance.randrange(1, 6))
        self.run_cron(2)
        self.run_faulty_cron(self.chance.randrange(3))
        self.status.world.well()
        self.run_faulty_cron(self.chance.randrange(1, 5))
        self.run_cron(2)
        if work is not None:
            self.run_cron(12)
            self.expect([f"{work}-started", f"{work}-completed"], component, None)
        else:
            (subject,) = self.subjects() - known or {f"{component}: no incident at {at(self.minute)}"}
            self.expect([f"{subject}-opened", f"{subject}-resolved"], component, IMPACTS[component])

    def subjects(self) -> set[str]:
        """Return the ids of all incidents."""
        return {name for (name,) in self.status.rows("SELECT id FROM incidents")}

    def expect(self, updates: Iterable[str], component: str, impact: int | None) -> None:
        """Record the deliveries of some updates by the contacts' rules, independently of the Worker's tables."""
        for contact, (_, wanted, minimum) in CONTACTS.items():
            if (wanted is None or component in wanted) and (impact is None or impact >= minimum):
                self.expected |= {f"{update}_{contact}" for update in updates}

    def drain(self) -> None:
        """Let time pass until no delivery is pending."""
        for _ in range(60):
            ((due,),) = self.status.rows("SELECT MAX(due_at) FROM deliveries WHERE state = 'pending'")
            if due is None:
                return
            self.minute = max(self.minute, due // 60_000 - MINUTE + 1)
            self.run_cron(1)

    def problems(self, emails: Counter[str]) -> list[str]:
        """Compare the recorded and the received deliveries with the expected ones."""
        states = self.status.rows("SELECT update_id || '_' || contact, state FROM deliveries")
        recorded = Counter(name for name, _ in states)
        received = self.received + emails
        return [
            *(f"not delivered: {name} ({state})" for name, state in states if state != "delivered"),
            *(f"expected but not recorded: {name}" for name in self.expected - set(recorded)),
            *(f"recorded but not expected: {name}" for name in set(recorded) - self.expected),
            *(f"expected but not received: {name}" for name in self.expected - set(received)),
            *(f"received but not expected: {name}" for name in set(received) - self.expected),
            *self._duplicate_emails(emails),
        ]

    def _duplicate_emails(self, emails: Counter[str]) -> list[str]:
        """Report duplicates. A crash between sending and recording may repeat only the five e-mails in flight."""
        duplicates = emails.total() - len(emails)
        return [f"{duplicates} duplicate e-mails after {self.crashes} crashes"] if duplicates > 5 * self.crashes else []


def run(host: Host, outages: int, seed: int) -> Result:
    """Run `outages` outages on a new Worker."""
    world = World()
    with world.serving() as address:
        start_status(host, address)
        drill = Run(Status(host, world), random.Random(seed))
        world.answer = drill.answer
        drill.run_cron(1)
        for name, (contact, components, minimum) in CONTACTS.items():
            drill.status.contact(name, contact, components=components, minimum=minimum)
        emails: Counter[str] = Counter()
        for _ in range(outages):
            drill.outage()
            emails += _ids(host.emails())
        drill.drain()
        emails += _ids(host.emails())
        minutes, mismatches = _account(drill)
        return Result(
            outages=outages,
            calls=drill.calls,
            crashes=drill.crashes,
            duplicates=sum(drill.received.values()) + sum(emails.values()) - len(drill.expected),
            deliveries=len(drill.expected),
            minutes=minutes,
            problems=drill.problems(emails) + mismatches,
        )


def _ids(emails: list[str]) -> Counter[str]:
    """Return the ids of the e-mails to contacts. Alarms to operators are left out."""
    parsed = [email.message_from_string(raw, policy=email.policy.default) for raw in emails]
    names = [message["message-id"] for message in parsed if not str(message["to"]).endswith("@operator.example")]
    return Counter(name.removeprefix("<").removesuffix("@status.example>") for name in names)


def _account(drill: Run) -> tuple[Counter[str], list[str]]:
    """Count every minute from the raw samples. Return the counts and their mismatches with the published statements."""
    samples = dict(drill.status.rows("SELECT minute, status FROM samples WHERE component = 'platform'"))
    windows = drill.status.rows("SELECT start_minute, end_minute FROM maintenances WHERE components LIKE '%database%'")
    excused = {minute for start, end in windows for minute in range(start, end)}
    horizon = max(MINUTE + drill.minute, *(minute + 1 for minute in samples))
    counted: dict[str, Counter[str]] = {}
    for minute in range(min(samples), horizon):
        kind = {"ok": "up", "degraded": "up", "down": "down"}.get(samples.get(minute, ""), "unknown")
        if kind != "up" and minute in excused:
            kind = "excused"
        counted.setdefault(at(minute - MINUTE)[:7], Counter())[kind] += 1
    mismatches: list[str] = []
    for month, expected in counted.items():
        answer = drill.status.get(f"/sla/{month}.json", drill.minute)
        published = {name: count for name, count in json.loads(answer["body"])["statement"]["minutes"].items() if count}
        if published != dict(expected):
            mismatches.append(f"{month}: published {published}, counted {dict(expected)}")
    return sum(counted.values(), Counter[str]()), mismatches


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
        f"{result.outages} outages (seed {chosen.seed}), {result.calls} cron calls, {result.crashes} crashes: "
        f"{result.deliveries} deliveries, {result.duplicates} duplicates with the same id; "
        f"minutes {dict(result.minutes)}; {len(result.problems)} problems; {time.monotonic() - began:.0f} s"
    )
    return 1 if result.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
