"""Damage backups of a live stack, and restore from them: `python -m drills.corruptions --stack staging --count 100`.

Each time, one object of one copy is damaged in one way, and a machine fetches from that copy what a restore of the
newest data needs. It must refuse and name the object, or have all data. Then the object is put back. A seed repeats the
choices.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from backups.stack import topology_of
from console.errors import CommandError
from drills.guard import only_drill
from drills.restore.members import Members
from drills.sites.buckets import Bucket, bucket_of, manifest_in
from drills.sites.live import LiveSite
from drills.sites.site import SiteError
from model.copies import ForeignCopy
from model.topology import Topology
from sandbox.engine.errors import EngineError

NAME = "corruption"
Json = dict[str, Any]


@dataclass(frozen=True)
class Damage:
    """A way to damage an object, and whether a restore can have all data nevertheless."""

    name: str
    of: str
    """Which objects: `stored` (backup files and WAL) or `manifest`."""
    change: Callable[[random.Random, bytes], bytes | None]
    """Returns the damaged bytes; None: the object is removed."""
    harmless: bool = False


def flip(chance: random.Random, content: bytes) -> bytes:
    """Flip one bit."""
    position = chance.randrange(len(content))
    return content[:position] + bytes([content[position] ^ 1 << chance.randrange(8)]) + content[position + 1 :]


def truncate(chance: random.Random, content: bytes) -> bytes:
    """Cut the end off."""
    return content[: chance.randrange(len(content))]


def sign_again(_: random.Random, envelope: bytes) -> bytes:
    """Sign a manifest with a key that is not the platform's."""
    document: Json = json.loads(envelope)
    payload, kind = base64.b64decode(document["payload"]), document["payloadType"]
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    signature = Ed25519PrivateKey.generate().sign(signed)
    document["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    return json.dumps(document).encode()


def nothing(_: random.Random, __: bytes) -> None:
    """Remove it."""
    return


DAMAGES = (
    Damage("one flipped bit", "stored", flip),
    Damage("truncated", "stored", truncate),
    Damage("missing", "stored", nothing),
    Damage("manifest with a flipped bit", "manifest", flip),
    Damage("manifest signed with another key", "manifest", sign_again),
    Damage("manifest missing", "manifest", nothing),
    # The WAL that it lists is still there, so a restore reaches the same point from the run before.
    Damage("newest manifest missing", "newest", nothing, harmless=True),
)


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


def targets(bucket: Bucket, group: str, fetched: Json) -> dict[str, list[str]]:
    """Return the keys that a restore needs of a copy, by what they are."""
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
    return {
        "stored": sorted(key for key in stored if key in listed),
        "manifest": [key for key in labels if key.rpartition("/")[2][:-5] in runs],
        "newest": labels[-1:] if labels[-1].rpartition("/")[2][:-5] not in runs else [],
    }


def attempt(chance: random.Random, topology: Topology, site: LiveSite, audits: Sequence[Audit]) -> tuple[str, str]:
    """Damage one object, fetch, and put it back. Return the kind of damage, and what went wrong: usually nothing."""
    audit = chance.choice(audits)
    copy = chance.choice([one.name for one in topology.copies if not isinstance(one, ForeignCopy)])
    bucket = bucket_of(topology, site.place, copy)
    before = audit.fetch(copy)
    known = targets(bucket, audit.group, before)
    damage = chance.choice([one for one in DAMAGES if known[one.of]])
    key = chance.choice(known[damage.of])
    content = bucket.read(key)
    kept = bucket.keep(key)
    changed = damage.change(chance, content)
    what = f"{damage.name}: {key} in {copy}"
    try:
        if changed is None:
            bucket.remove(key)
        else:
            bucket.damage(key, changed)
        try:
            after = audit.fetch(copy)
        except SiteError as error:
            named = key in str(error) or key.rpartition("/")[2].removesuffix(".json") in str(error)
            return damage.name, "" if named and copy in str(error) else f"{what}: refused without naming it: {error}"
        complete = max(after["points"], default="") >= max(before["points"], default="")
        return damage.name, "" if damage.harmless and complete else f"{what}: NOT REFUSED"
    finally:
        bucket.put_back(key, kept)


def main(arguments: list[str] | None = None) -> int:
    """Run the drill; return 1 if a damage was not noticed, 2 for invalid input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stack", default="staging")
    parser.add_argument("--count", type=int, default=len(DAMAGES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)")
    options = parser.parse_args(arguments)
    try:
        topology, root = topology_of(options.stack, options.cwd), options.cwd.resolve()
        with only_drill(topology, root, "drills.corruptions"):
            return _run(topology, LiveSite(root, options.stack), options)
    except (CommandError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _run(topology: Topology, site: LiveSite, options: argparse.Namespace) -> int:
    audits = [Audit(topology, site, group.name) for group in topology.database_groups]
    secret = topology.secrets.backup_readers
    chance, counts, wrong = random.Random(options.seed), Counter[str](), list[str]()
    site.allow_reading(secret)
    try:
        for number in range(1, options.count + 1):
            kind, problem = attempt(chance, topology, site, audits)
            counts[kind] += 1
            if problem:
                wrong.append(problem)
            print(f"{number}/{options.count} {kind}: {problem or 'noticed'}", flush=True)
    finally:
        site.forbid_reading(secret)
    for kind, count in sorted(counts.items()):
        print(f"{count:4} {kind}")
    print(f"{sum(counts.values())} damages (seed {options.seed}), {len(wrong)} not noticed as they must be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
