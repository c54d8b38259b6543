"""Inject random faults into backups. Each must be found, reported and repaired, and none may spread to another copy.

`python -m drills.injections --count 200` injects 200 faults; the tests inject a few of each kind. An interrupted run
continues with the same arguments after its last complete injection; `--anew` begins again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drills.progress import Progress
from harness.backup_manifests import sealed
from harness.backup_world import GROUP, STORES, Machine, Run, World
from harness.offsite import Offsite
from harness.workerd import Host

# No object expires during the drill.
KEEP_ALL = {
    "pointInTimeDays": 30_000,
    "minimumFulls": 3,
    "keepDays": dict.fromkeys(("hourly", "daily", "monthly", "yearly"), 30_000),
}
KEPT = ("machine", "chance", "expected", "bodies", "unlisted")
"""The attributes of `Injections` that an interrupted run needs, besides its world."""

Finding = tuple[str, str, str]
"""Kind, store and key of a finding."""


class InjectionError(AssertionError):
    """An injected fault was not found, was not repaired, or spread to another copy."""


class Injections:
    """Backups without faults, the expected content of the stores, and the faults to inject.

    The method of each fault injects it and returns the findings that must be reported. `state` is that of an
    interrupted run, from `save`.
    """

    def __init__(self, host: Host, offsite: Offsite, seed: int, state: dict[str, Any] | None = None) -> None:
        self.world = World(host, offsite, ROTATION=KEEP_ALL)
        self.offsite = offsite
        self.machine = Machine(seed=seed)
        self.chance = random.Random(seed)
        self.expected: dict[str, str] = {}
        self.bodies: dict[str, bytes] = {}
        self.unlisted: set[str] = set()  # keys in a store that are in no manifest, and must stay
        if state is None:
            self.prepare()
        else:
            self.world.restore(state["world"])
            for name in KEPT:
                setattr(self, name, state[name])
        self.kinds: dict[str, Callable[[], set[Finding]]] = {
            "flipped byte": self.flip_bit,
            "truncated": self.truncate,
            "missing": self.remove,
            "swapped": self.swap,
            "extra": self.add_unlisted,
            "stale manifest": self.replace_manifest,
            "forged manifest": self.forge_manifest,
            "lost everywhere": self.damage_every_copy,
            "event lost": self.drop_event,
            "events doubled and reordered": self.reorder_events,
            "killed": self.crash_workers,
            "stores failing": self.fail_stores,
        }

    def prepare(self) -> None:
        """Make the backups into which faults are injected."""
        for kind in ("full", "incremental", "incremental", "full"):
            run = self.run(kind)
            self.deliver(self.written(run))
            self.settle()
        self.expect()

    def save(self) -> dict[str, Any]:
        """Return the state from which another process can continue."""
        return {"world": self.world.save(), **{name: getattr(self, name) for name in KEPT}}

    def play(self, name: str) -> None:
        """Inject one fault and check the result. Raises `InjectionError`."""
        before = max((one["id"] for one in self.world.findings()), default=0)
        expected = self.kinds[name]()
        self.settle()
        found = self.world.findings(f"id > {before}")
        names = {(one["kind"], one["store"], one["key"]) for one in found}
        if not expected <= names:
            raise InjectionError(f"{name}: not found: {expected - names}; found: {names}")
        damaged = {one for one in names if one[0] == "damaged"}
        if not damaged <= expected:
            raise InjectionError(f"{name}: the damage spread: {damaged - expected}")
        still = [one for one in found if one["closed_at"] is None and one["kind"] not in ("extra", "unlisted")]
        if still:
            raise InjectionError(f"{name}: not repaired: {still}")
        self.check(name)

    def check(self, name: str) -> None:
        """Check that every store contains exactly the expected objects. Raises `InjectionError`."""
        for store in STORES:
            digests = {key: sha for key, sha in self.world.digests(store).items() if key not in self.unlisted}
            if digests != self.expected:
                wrong = {
                    key for key in digests.keys() | self.expected.keys() if digests.get(key) != self.expected.get(key)
                }
                raise InjectionError(f"{name}: {store} has wrong or missing objects: {sorted(wrong)[:5]}")

    def settle(self) -> None:
        """Let enough time pass for every object to be verified again, and run the Workers."""
        self.world.pass_by(days=6, hours=1)
        self.world.settle()

    def expect(self) -> None:
        """Expect the objects that the machine has written, and their promoted copies."""
        made = {key: body for run in self.machine.runs for key, body in run.objects.items()}
        made |= {run.key: run.envelope for run in self.machine.runs}
        listed = self.world.sql("SELECT key, source FROM objects")
        self.bodies = {one["key"]: made[one["source"] or one["key"]] for one in listed}
        assert made.keys() <= self.bodies.keys()
        self.expected = {key: hashlib.sha256(body).hexdigest() for key, body in self.bodies.items()}

    # Backup runs and their replication.

    def run(self, kind: str = "incremental") -> Run:
        """Make a backup run, an hour after the previous one."""
        self.world.pass_by(hours=1)
        run = self.machine.backup(self.world.time, kind)
        self.world.pass_by(minutes=2)
        return run

    def written(self, run: Run) -> list[str]:
        """Write a run's objects, then its manifest. Return the keys for the bucket's events."""
        return self.world.write(run.objects) + self.world.write({run.key: run.envelope})

    def deliver(self, keys: list[str], **instruction: Any) -> None:
        """Deliver events, and redeliver failed ones until all have succeeded."""
        for _ in range(30):
            keys = self.world.deliver(keys, **instruction)
            if not keys:
                return
            self.world.pass_by(minutes=2)
        raise InjectionError(f"events failed 30 times: {keys}")

    # The faults.

    def some(self, count: int = 1) -> list[str]:
        """Choose random keys."""
        return self.chance.sample(sorted(self.bodies), count)

    def places(self) -> list[str]:
        """Choose one or two of the three stores, so that one good copy remains."""
        return self.chance.sample(STORES, self.chance.choice([1, 1, 2]))

    def change(self, key: str, body: bytes) -> set[Finding]:
        """Overwrite an object in some stores. In the primary, sometimes deliver the event, too."""
        stores = self.places()
        for store in stores:
            events = self.world.write({key: body}, store)
            if store == "primary" and self.chance.random() < 0.5:
                self.world.pass_by(minutes=1)
                self.deliver(events)
        return {("damaged", store, key) for store in stores}

    def flip_bit(self) -> set[Finding]:
        """Flip one bit of an object."""
        (key,) = self.some()
        body = bytearray(self.bodies[key])
        body[self.chance.randrange(len(body))] ^= 1 << self.chance.randrange(8)
        return self.change(key, bytes(body))

    def truncate(self) -> set[Finding]:
        """Cut off the end of an object."""
        (key,) = self.some()
        return self.change(key, self.bodies[key][: self.chance.randrange(len(self.bodies[key]))])

    def remove(self) -> set[Finding]:
        """Delete an object."""
        (key,) = self.some()
        stores = self.places()
        for store in stores:
            self.world.delete(store, key)
        return {("missing", store, key) for store in stores}

    def swap(self) -> set[Finding]:
        """Exchange the bytes of two objects in one store."""
        one, other = self.some(2)
        while self.bodies[one] == self.bodies[other]:
            one, other = self.some(2)
        store = self.chance.choice(STORES)
        self.world.write({one: self.bodies[other], other: self.bodies[one]}, store)
        return {("damaged", store, one), ("damaged", store, other)}

    def add_unlisted(self) -> set[Finding]:
        """Write an object that no manifest lists."""
        store = self.chance.choice(STORES)
        key = f"hourly/backup/{GROUP}/{self.chance.randrange(10**9)}"
        self.unlisted.add(key)
        self.world.write({key: b"in no manifest"}, store)
        return {("unlisted" if store == "primary" else "extra", store, key)}

    def replace_manifest(self) -> set[Finding]:
        """Overwrite a manifest with the manifest of another run."""
        old, new = self.chance.sample(self.machine.runs, 2)
        store = self.chance.choice(STORES)
        self.world.write({new.key: old.envelope}, store)
        return {("damaged", store, new.key)}

    def forge_manifest(self) -> set[Finding]:
        """Write a manifest with an invalid signature or content, and delete it after it was reported."""
        genuine = self.chance.choice(self.machine.runs)
        label = (self.world.time).strftime("%Y%m%d-%H%M%SF")
        key = f"manifests/{GROUP}/{label}.json"
        changes: dict[str, Any] = {"run": label, "kind": "full", "dependsOn": [], "previous": None}
        manifest = genuine.manifest | changes
        forged = self.chance.choice(
            [sealed(manifest, "another password"), genuine.envelope, b"{}", self._unsigned(manifest)]
        )
        self.deliver(self.world.write({key: forged}))
        self.world.settle(1)
        for store in ("replica", "offsite"):
            if key in self.world.keys(store):
                raise InjectionError(f"forged manifest: it was copied to {store}")
        self.world.delete("primary", key)
        return {("refused", "primary", key)}

    def _unsigned(self, manifest: dict[str, Any]) -> bytes:
        envelope = json.loads(sealed(manifest))
        envelope["payload"] = envelope["payload"][::-1]
        return json.dumps(envelope).encode()

    def damage_every_copy(self) -> set[Finding]:
        """Damage every copy of an object, then restore it as an operator would. No other key has the same bytes."""
        times = Counter(self.expected.values())
        (key,) = self.some()
        while times[self.expected[key]] > 1:
            (key,) = self.some()
        for store in STORES:
            self.world.write({key: b"gone"}, store)
        self.settle()
        lost = [one for one in self.world.findings("closed_at IS NULL AND kind = 'lost'") if one["key"] == key]
        if not lost:
            raise InjectionError(f"lost everywhere: no finding `lost` for {key}")
        self.world.write({key: self.bodies[key]}, self.chance.choice(STORES))
        return {("lost", "primary", key), *(("damaged", store, key) for store in STORES)}

    def drop_event(self) -> set[Finding]:
        """Drop the event of one object. Reconciliation must find the object."""
        run = self.run()
        events = self.written(run)
        lost = self.chance.choice([key for key in events if not key.startswith("manifests/")])
        self.deliver([key for key in events if key != lost])
        self.world.cron("replicate")
        self._process_run()
        return {("missed", "replica", lost)}

    def reorder_events(self) -> set[Finding]:
        """Deliver all events in random order, and some of them twice."""
        events = self.written(self.run(self.chance.choice(["full", "incremental"])))
        events = [*events, *self.chance.sample(events, len(events) // 2)]
        self.chance.shuffle(events)
        self.deliver(events)
        self._process_run()
        return set()

    def crash_workers(self) -> set[Finding]:
        """Crash each Worker several times, before or after a random step takes effect."""
        events = self.written(self.run(self.chance.choice(["full", "incremental"])))
        for _ in range(3):
            fall = {"at": self.chance.randrange(60), "after": self.chance.random() < 0.5}
            events = self.world.deliver(events, fall=fall)
            for script in ("verify", "replicate", "age-out"):
                self.world.pass_by(minutes=6)
                fall = {"at": self.chance.randrange(60), "after": self.chance.random() < 0.5}
                self.world.cron(script, fall=fall)
        self.deliver(events)
        self._process_run()
        return set()

    def fail_stores(self) -> set[Finding]:
        """Let 30 % of the calls to every store fail, before or after they take effect."""
        events = self.written(self.run(self.chance.choice(["full", "incremental"])))
        seed = self.chance.randrange(2**32)
        self.offsite.flaky(0.3, seed)
        flaky = {"share": 0.3, "seed": seed}
        try:
            events = self.world.deliver(events, flaky=flaky)
            for script in ("verify", "replicate", "age-out", "verify"):
                self.world.pass_by(minutes=11)
                self.world.cron(script, flaky=flaky | {"seed": self.chance.randrange(2**32)})
        finally:
            self.offsite.failing = lambda: False
        self.deliver(events)
        self._process_run()
        return set()

    def _process_run(self) -> None:
        """Let the Workers process a new run, and expect its objects from now on."""
        self.settle()
        self.expect()


@dataclass(frozen=True)
class Outcome:
    """The number of injected faults by name, and of findings by kind."""

    faults: Counter[str]
    findings: Counter[str]


def play(host: Host, offsite: Offsite, count: int, seed: int, progress: Progress | None = None) -> Outcome:
    """Inject `count` faults, the same number of each kind. Raises `InjectionError`."""
    state = None if progress is None else progress.load()
    injections = Injections(host, offsite, seed, state)
    if state is None:
        names = [name for _ in range(count) for name in injections.kinds][:count]
        injections.chance.shuffle(names)
    else:
        names = state["names"]
    for number in range(0 if state is None else state["done"], count):
        try:
            injections.play(names[number])
        except InjectionError as problem:
            raise InjectionError(f"injection {number} (seed {seed}): {problem}") from problem
        if progress is not None:
            progress.save({"names": names, "done": number + 1, **injections.save()})
    return Outcome(Counter(names), Counter(one["kind"] for one in injections.world.findings()))


def main() -> int:
    """Run the drill; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--anew", action="store_true", help="do not continue an interrupted run")
    options = parser.parse_args()
    progress = Progress("injections", count=options.count, seed=options.seed, anew=options.anew)
    host, offsite = Host(), Offsite()
    began = time.monotonic()
    try:
        outcome = play(host, offsite, options.count, options.seed, progress)
    except InjectionError as problem:
        print(f"FAILED: {problem}")
        return 1
    finally:
        host.close()
        offsite.close()
    progress.remove()
    for name, count in sorted(outcome.faults.items()):
        print(f"{count:5} {name}")
    print("findings:", ", ".join(f"{count} {kind}" for kind, count in sorted(outcome.findings.items())))
    seconds = time.monotonic() - began
    print(f"{options.count} injections: each was found, reported and repaired, and none spread; {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
