"""Faults injected into backups at random: each must be found, named and repaired, and none may spread.

`python -m drills.injections --count 200` plays that many; the tests play a few of each kind.
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
from typing import Any

from harness.backup_manifests import sealed
from harness.backup_world import GROUP, STORES, Machine, Run, World
from harness.offsite import Offsite
from harness.workerd import Host

# Nothing ages out here: what is needed is everything.
FOR_EVER = {
    "pointInTimeDays": 30_000,
    "minimumFulls": 3,
    "keepDays": dict.fromkeys(("hourly", "daily", "monthly", "yearly"), 30_000),
}
Named = tuple[str, str, str]
"""Kind, store and key of a finding."""


class InjectionError(AssertionError):
    """An injection that was not found, or not put right, or spread."""


class Injections:
    """A world in which all is well, what it should hold, and the ways to hurt it; each answers what is to be found."""

    def __init__(self, host: Host, offsite: Offsite, seed: int) -> None:
        self.world = World(host, offsite, ROTATION=FOR_EVER)
        self.offsite = offsite
        self.machine = Machine(seed=seed)
        self.chance = random.Random(seed)
        self.wanted: dict[str, str] = {}
        self.bodies: dict[str, bytes] = {}
        self.spared: set[str] = set()  # keys that are to be in a store although nobody wants them
        for kind in ("full", "incremental", "incremental", "full"):
            run = self.run(kind)
            self.deliver(self.written(run))
            self.settle()
        self.expect()
        self.kinds: dict[str, Callable[[], set[Named]]] = {
            "flipped byte": self.flip,
            "truncated": self.truncate,
            "missing": self.miss,
            "swapped": self.swap,
            "extra": self.extra,
            "stale manifest": self.stale,
            "forged manifest": self.forge,
            "lost everywhere": self.lose,
            "event lost": self.lose_event,
            "events doubled and reordered": self.shuffle,
            "killed": self.kill,
            "stores failing": self.fail,
        }

    def play(self, name: str) -> None:
        """Do one injection; raises `InjectionError`."""
        before = max((one["id"] for one in self.world.findings()), default=0)
        expected = self.kinds[name]()
        self.settle()
        found = self.world.findings(f"id > {before}")
        names = {(one["kind"], one["store"], one["key"]) for one in found}
        if not expected <= names:
            raise InjectionError(f"{name}: not found: {expected - names}; found: {names}")
        damaged = {one for one in names if one[0] == "damaged"}
        if not damaged <= expected:
            raise InjectionError(f"{name}: it has spread: {damaged - expected}")
        still = [one for one in found if one["closed_at"] is None and one["kind"] not in ("extra", "unlisted")]
        if still:
            raise InjectionError(f"{name}: not put right: {still}")
        self.check(name)

    def check(self, name: str) -> None:
        """See that every store holds what it should, byte for byte."""
        for store in STORES:
            digests = {key: sha for key, sha in self.world.digests(store).items() if key not in self.spared}
            if digests != self.wanted:
                wrong = {key for key in digests.keys() | self.wanted.keys() if digests.get(key) != self.wanted.get(key)}
                raise InjectionError(f"{name}: {store} is not as it should be: {sorted(wrong)[:5]}")

    def settle(self) -> None:
        """Let a week's worth of looks go by."""
        self.world.pass_by(days=6, hours=1)
        self.world.settle()

    def expect(self) -> None:
        """Take what the machine made, and what was promoted of it, as what should be there."""
        made = {key: body for run in self.machine.runs for key, body in run.objects.items()}
        made |= {run.key: run.envelope for run in self.machine.runs}
        listed = self.world.sql("SELECT key, source FROM objects")
        self.bodies = {one["key"]: made[one["source"] or one["key"]] for one in listed}
        assert made.keys() <= self.bodies.keys()
        self.wanted = {key: hashlib.sha256(body).hexdigest() for key, body in self.bodies.items()}

    # A run, and how it comes to the copies.

    def run(self, kind: str = "incremental") -> Run:
        """Have the machine make a backup run, an hour after the last one."""
        self.world.pass_by(hours=1)
        run = self.machine.backup(self.world.time, kind)
        self.world.pass_by(minutes=2)
        return run

    def written(self, run: Run) -> list[str]:
        """Write a run's objects, then its manifest; return the keys, which are the bucket's events."""
        return self.world.write(run.objects) + self.world.write({run.key: run.envelope})

    def deliver(self, keys: list[str], **instruction: Any) -> None:
        """Bring events, and those that failed again until all have come."""
        for _ in range(30):
            keys = self.world.deliver(keys, **instruction)
            if not keys:
                return
            self.world.pass_by(minutes=2)
        raise InjectionError(f"events cannot be handled: {keys}")

    # The injections.

    def some(self, count: int = 1) -> list[str]:
        """Choose keys at random."""
        return self.chance.sample(sorted(self.bodies), count)

    def places(self) -> list[str]:
        """One or two of the stores: one good copy is left."""
        return self.chance.sample(STORES, self.chance.choice([1, 1, 2]))

    def change(self, key: str, body: bytes) -> set[Named]:
        """Put other bytes in place of an object; the primary's event may come too."""
        stores = self.places()
        for store in stores:
            events = self.world.write({key: body}, store)
            if store == "primary" and self.chance.random() < 0.5:
                self.world.pass_by(minutes=1)
                self.deliver(events)
        return {("damaged", store, key) for store in stores}

    def flip(self) -> set[Named]:
        """Flip one bit of an object."""
        (key,) = self.some()
        body = bytearray(self.bodies[key])
        body[self.chance.randrange(len(body))] ^= 1 << self.chance.randrange(8)
        return self.change(key, bytes(body))

    def truncate(self) -> set[Named]:
        """Cut off the end of an object."""
        (key,) = self.some()
        return self.change(key, self.bodies[key][: self.chance.randrange(len(self.bodies[key]))])

    def miss(self) -> set[Named]:
        """Delete an object."""
        (key,) = self.some()
        stores = self.places()
        for store in stores:
            self.world.delete(store, key)
        return {("missing", store, key) for store in stores}

    def swap(self) -> set[Named]:
        """Exchange the bytes of two objects in one store."""
        one, other = self.some(2)
        while self.bodies[one] == self.bodies[other]:
            one, other = self.some(2)
        store = self.chance.choice(STORES)
        self.world.write({one: self.bodies[other], other: self.bodies[one]}, store)
        return {("damaged", store, one), ("damaged", store, other)}

    def extra(self) -> set[Named]:
        """Write an object that no manifest lists."""
        store = self.chance.choice(STORES)
        key = f"hourly/backup/{GROUP}/{self.chance.randrange(10**9)}"
        self.spared.add(key)
        self.world.write({key: b"nobody wants this"}, store)
        return {("unlisted" if store == "primary" else "extra", store, key)}

    def stale(self) -> set[Named]:
        """Put an older manifest in the place of a newer one."""
        old, new = self.chance.sample(self.machine.runs, 2)
        store = self.chance.choice(STORES)
        self.world.write({new.key: old.envelope}, store)
        return {("damaged", store, new.key)}

    def forge(self) -> set[Named]:
        """A manifest of a run that never was; somebody takes it away once it is said."""
        genuine = self.chance.choice(self.machine.runs)
        label = (self.world.time).strftime("%Y%m%d-%H%M%SF")
        key = f"manifests/{GROUP}/{label}.json"
        changes: dict[str, Any] = {"run": label, "kind": "full", "dependsOn": [], "previous": None}
        manifest = genuine.manifest | changes
        forged = self.chance.choice(
            [sealed(manifest, "somebody else's"), genuine.envelope, b"{}", self._unsigned(manifest)]
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

    def lose(self) -> set[Named]:
        """Every copy is damaged of what lies under no other name, and a person finds another one."""
        times = Counter(self.wanted.values())
        (key,) = self.some()
        while times[self.wanted[key]] > 1:
            (key,) = self.some()
        for store in STORES:
            self.world.write({key: b"gone"}, store)
        self.settle()
        lost = [one for one in self.world.findings("closed_at IS NULL AND kind = 'lost'") if one["key"] == key]
        if not lost:
            raise InjectionError(f"lost everywhere: not said of {key}")
        self.world.write({key: self.bodies[key]}, self.chance.choice(STORES))
        return {("lost", "primary", key), *(("damaged", store, key) for store in STORES)}

    def lose_event(self) -> set[Named]:
        """Lose the event of one object; the comparison of listings finds it."""
        run = self.run()
        events = self.written(run)
        lost = self.chance.choice([key for key in events if not key.startswith("manifests/")])
        self.deliver([key for key in events if key != lost])
        self.world.cron("replicate")
        self._grown()
        return {("missed", "replica", lost)}

    def shuffle(self) -> set[Named]:
        """Deliver some events twice, and all in any order."""
        events = self.written(self.run(self.chance.choice(["full", "incremental"])))
        events = [*events, *self.chance.sample(events, len(events) // 2)]
        self.chance.shuffle(events)
        self.deliver(events)
        self._grown()
        return set()

    def kill(self) -> set[Named]:
        """Each Worker ends somewhere, before or after its step took effect, again and again."""
        events = self.written(self.run(self.chance.choice(["full", "incremental"])))
        for _ in range(3):
            fall = {"at": self.chance.randrange(60), "after": self.chance.random() < 0.5}
            events = self.world.deliver(events, fall=fall)
            for script in ("verify", "replicate", "age-out"):
                self.world.pass_by(minutes=6)
                fall = {"at": self.chance.randrange(60), "after": self.chance.random() < 0.5}
                self.world.cron(script, fall=fall)
        self.deliver(events)
        self._grown()
        return set()

    def fail(self) -> set[Named]:
        """Three of ten calls to every store fail, before or after they took effect."""
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
        self._grown()
        return set()

    def _grown(self) -> None:
        """See that a run has come in, and expect its objects from now on."""
        self.settle()
        self.expect()


def play(host: Host, offsite: Offsite, count: int, seed: int) -> Counter[str]:
    """Play so many, of each kind alike; returns how many of each. Raises `InjectionError`."""
    injections = Injections(host, offsite, seed)
    names = [name for _ in range(count) for name in injections.kinds][:count]
    injections.chance.shuffle(names)
    for number, name in enumerate(names):
        try:
            injections.play(name)
        except InjectionError as problem:
            raise InjectionError(f"injection {number} (seed {seed}): {problem}") from problem
    return Counter(names)


def main() -> int:
    """Run the drill; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    host, offsite = Host(), Offsite()
    began = time.monotonic()
    try:
        counts = play(host, offsite, options.count, options.seed)
    except InjectionError as problem:
        print(f"FAILED: {problem}")
        return 1
    finally:
        host.close()
        offsite.close()
    for name, count in sorted(counts.items()):
        print(f"{count:5} {name}")
    print(f"{options.count} injections: each found, named and put right, none spread; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
