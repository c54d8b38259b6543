"""Fetch from a copy as a restore does, on a machine, while one of its objects is damaged."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drills.corruptions.damages import DAMAGES, Damage, Where, exchange
from drills.restore.members import Members
from drills.sites.buckets import Bucket, bucket_of, manifest_in
from drills.sites.live import LiveSite
from drills.sites.site import SiteError
from model.copies import ForeignCopy
from model.settings import PRIMARY
from model.topology import Topology

NAME = "corruption"
Json = dict[str, Any]


class Audit:
    """Fetches of one group on one machine."""

    def __init__(self, topology: Topology, site: LiveSite, group: str) -> None:
        self.group: str = group
        self.member: str = next(one.members[0].name for one in topology.database_groups if one.name == group)
        self._members: Members = Members(site, NAME, lambda _step, _progress: None)

    def fetch(self, copy: str) -> Json:
        """Fetch what a restore of the newest data from a copy needs. Raises `SiteError` if it is refused."""
        try:
            self._members.begin({"copy": copy, "to": "latest", "before": None, "upto": None}, [self.member])
            return self._members.step("fetch", {self.member: {}})[self.member]
        finally:
            self._members.ask(self.member, "remove", NAME)


@dataclass(frozen=True)
class Damaged:
    """One damage to one object of one copy."""

    damage: Damage
    copy: str
    key: str
    content: bytes
    changed: bytes | None
    """The damaged bytes; None: the object is removed."""
    original: str | None = None
    """The key of the object of which this one is a copy; None for an object that belongs there."""

    @property
    def text(self) -> str:
        """What is damaged, and how."""
        return f"{self.damage.name}: {self.key} in {self.copy}"

    def inflict(self, bucket: Bucket) -> None:
        """Damage the object."""
        if self.original is not None:
            bucket.duplicate(self.original, self.key)
        elif self.changed is None:
            bucket.remove(self.key)
        else:
            bucket.damage(self.key, self.changed)


def choose(chance: random.Random, topology: Topology, site: LiveSite, audit: Audit) -> tuple[Damaged, Json]:
    """Choose a damage at random. Return it, and the result of a fetch before it."""
    copy = chance.choice([one.name for one in topology.copies if not isinstance(one, ForeignCopy)])
    bucket = bucket_of(topology, site.place, copy)
    before = audit.fetch(copy)
    known = targets(bucket, audit.group, before)
    damage = chance.choice([one for one in DAMAGES if is_possible(one, copy, known)])
    key = chance.choice(known[damage.of])
    content = bucket.read(key)
    other = bucket.read(chance.choice([one for one in known[damage.of] if one != key] or [key]))
    changed = damage.change(chance, content, other)
    if damage.of == "extra":
        return Damaged(damage, copy, f"{key}-{chance.randbytes(4).hex()}", content, changed, original=key), before
    return Damaged(damage, copy, key, content, changed), before


def is_possible(damage: Damage, copy: str, known: Mapping[Where, list[str]]) -> bool:
    """Return whether a copy has objects for a damage, and whether the Workers report it at once."""
    if damage.of == "extra":
        return copy != PRIMARY and bool(known["extra"])  # the primary's are reported when they are a day old
    # An exchange needs a second manifest.
    return len(known[damage.of]) >= (2 if damage.change is exchange else 1)


def targets(bucket: Bucket, group: str, fetched: Json) -> Mapping[Where, list[str]]:
    """Return the keys of a copy that a restore needs, by their kind."""
    full = str(fetched["run"])[:16]
    oldest = f"manifests/{group}/{full}"
    labels = [key for key in bucket.objects(f"manifests/{group}/") if key.endswith(".json") and key >= oldest]
    runs = {str(fetched["run"]), full}
    stored = [key for run in runs for key in bucket.objects(f"hourly/backup/{group}/{run}/")]
    listed: set[str] = set()
    for label in labels:
        manifest = manifest_in(bucket.read(label))
        if manifest["run"] in runs:
            listed |= {one["key"] for one in manifest["objects"] if one["kind"] != "index"}
    needed = sorted(key for key in stored if key in listed)
    return {
        "stored": needed,
        "extra": needed,
        "manifest": [key for key in labels if key.rpartition("/")[2][:-5] in runs],
        "newest": labels[-1:] if labels[-1].rpartition("/")[2][:-5] not in runs else [],
    }


def attempt(chance: random.Random, topology: Topology, site: LiveSite, audits: Sequence[Audit]) -> tuple[Damaged, str]:
    """Damage one object, fetch, and put it back. Return the damage and the problem; empty if it was noticed."""
    audit = chance.choice(audits)
    damaged, before = choose(chance, topology, site, audit)
    bucket = bucket_of(topology, site.place, damaged.copy)
    kept = bucket.keep(damaged.key) if damaged.original is None else None
    try:
        damaged.inflict(bucket)
        try:
            after = audit.fetch(damaged.copy)
        except SiteError as error:
            return damaged, wrong_refusal(damaged, str(error))
        complete = max(after["points"], default="") >= max(before["points"], default="")
        return damaged, "" if damaged.damage.harmless and complete else f"{damaged.text}: NOT REFUSED"
    finally:
        if kept is None:
            bucket.remove(damaged.key)
        else:
            bucket.put_back(damaged.key, kept)


def wrong_refusal(damaged: Damaged, message: str) -> str:
    """Return what is wrong with a refusal; empty if it names the object and the copy."""
    if damaged.damage.harmless:
        return f"{damaged.text}: refused, although all data is there: {message}"
    # Some refusals name the run of a manifest, or the WAL segment. A part of another object's name is not enough.
    name = damaged.key.rpartition("/")[2].removesuffix(".json")
    named = _names(message, damaged.key) or (is_unique(damaged.key) and _names(message, name))
    return "" if named and damaged.copy in message else f"{damaged.text}: refused without naming it: {message}"


def is_unique(key: str) -> bool:
    """Return whether the last part of a key names one object: of a manifest or WAL, unlike of a backup's files."""
    return "/backup/" not in key


def _names(message: str, name: str) -> bool:
    return re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w-]|[./]\w)", message) is not None
