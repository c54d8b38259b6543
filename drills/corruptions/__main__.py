"""Damage backups of a live stack: `python -m drills.corruptions --stack staging --count 100`.

Each attempt damages one object of one copy, and lets a machine fetch from that copy what a restore of the newest data
needs. The machine must refuse the copy and name the object; after a harmless damage, it must fetch all data. Then the
object is put back. After every `BATCH` attempts, the same objects are damaged together, in as few rounds as possible,
and the backup Workers must find, name and repair each. The same seed makes the same choices on the same objects.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from backups.stack import topology_of
from console.errors import CommandError
from drills.corruptions.audit import Audit, Damaged, attempt
from drills.corruptions.damages import DAMAGES
from drills.corruptions.repairs import Repairs, together
from drills.guard import only_drill
from drills.running import cloud
from drills.sites.live import LiveSite
from model.topology import Topology
from sandbox.engine.errors import EngineError

BATCH = 100


def main(arguments: list[str] | None = None) -> int:
    """Run the drill; return 1 if a damage was not noticed, not named or not repaired, 2 for invalid input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stack", default="staging")
    parser.add_argument("--count", type=int, default=len(DAMAGES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cwd", type=Path, default=Path.cwd(), help="the project's folder (default: the current one)")
    options = parser.parse_args(arguments)
    if options.count < 1:
        parser.error("--count must be 1 at least: without a damage, nothing is shown")
    try:
        topology, root = topology_of(options.stack, options.cwd), options.cwd.resolve()
        with only_drill(topology, root, "drills.corruptions"):
            return _run(topology, root, options)
    except (CommandError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _run(topology: Topology, root: Path, options: argparse.Namespace) -> int:
    chance, site = random.Random(options.seed), LiveSite(root, options.stack)
    audits = [Audit(topology, site, group.name) for group in topology.database_groups]
    counts, wrong = Counter[str](), list[str]()
    waiting: list[Damaged] = []
    for number in range(1, options.count + 1):
        damaged, problem = _attempt(chance, topology, site, audits)
        counts[damaged.damage.name] += 1
        waiting.append(damaged)
        wrong += [problem] if problem else []
        print(f"{number}/{options.count} {damaged.text}: {problem or 'noticed'}", flush=True)
        if len(waiting) == BATCH or number == options.count:
            wrong += _repair(topology, root, site, waiting)
            waiting = []
    for kind, count in sorted(counts.items()):
        print(f"{count:4} {kind}")
    print(f"{sum(counts.values())} damages (seed {options.seed}), {len(wrong)} not noticed or repaired as they must be")
    return 1 if wrong else 0


def _attempt(chance: random.Random, topology: Topology, site: LiveSite, audits: Sequence[Audit]) -> tuple[Damaged, str]:
    """Attempt one damage while the machines may read every copy."""
    secret = topology.secrets.backup_readers
    site.allow_reading(secret)
    try:
        return attempt(chance, topology, site, audits)
    finally:
        site.forbid_reading(secret)


def _repair(topology: Topology, root: Path, site: LiveSite, damages: Sequence[Damaged]) -> list[str]:
    """Let the Workers find and repair damages; return a line for each that they did not find or repair."""
    wrong: list[str] = []
    for one in together(damages, len(topology.copies)):
        print(f"{len(one)} of {len(damages)} damages at once, for the backup Workers", flush=True)
        repairs = Repairs(topology, site, one)
        repairs.inflict()
        wrong += [f"{text}: NOT FOUND by the Workers" for text in repairs.unnoticed()]
        locked = repairs.locked()
        if locked:
            # The findings say so: an operator disables the rules until the objects are repaired.
            print(f"{len(locked)} are kept by lock rules: the rules are disabled meanwhile", flush=True)
            cloud.lift_locks(site.place)
            repairs.verify_again()
        wrong += [f"{text}: NOT REPAIRED by the Workers" for text in repairs.unrepaired()]
        repairs.remove_extras()
        if locked:
            with tempfile.TemporaryDirectory() as folder:
                log = Path(folder) / "up.log"
                cloud.finish_rebuilding(cloud.begin_rebuilding(root, topology.stack, log), log)
    print("\n".join(wrong) or f"all {len(damages)} found, named and repaired", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
