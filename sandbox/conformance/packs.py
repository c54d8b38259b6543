"""Compares the policy packs under both engines: the same verdicts, and no change if a mandatory rule fails."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sandbox.clouds import open_clouds
from sandbox.conformance.sides import Official, Ours, Outcome, Verdict
from sandbox.conformance.stacks import ROOT, STACKS
from sandbox.conformance.trial import Comparison
from sandbox.official.cli import Cli

NAMES: Final = tuple(f"the policy packs on {stack}" for stack in STACKS)
FILES: Final = ("Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.staging.yaml", "__main__.py", "promises.toml")
FOLDERS: Final = ("model", "components", "machines", "workers", "policies", "console")
PATRONI: Final = "machines/templates/database/etc/backbuild/patroni.yml"

Edit = Callable[[Path], None]


def _disable_synchronous_replication(folder: Path) -> None:
    """Switch off synchronous replication in the machines' files."""
    file = folder / PATRONI
    text, count = re.subn("synchronous_mode: quorum", "synchronous_mode: false", file.read_text(encoding="utf-8"))
    if not count:
        raise ValueError(f"{file} no longer contains `synchronous_mode: quorum`; change this function")
    file.write_text(text, encoding="utf-8")


FAILING: Final = ("commits-are-synchronous", "content-is-reviewed")


def _make_advisory(folder: Path, pack: str, rules: tuple[str, ...]) -> None:
    """Make rules advisory in every stack's configuration of a pack."""
    for file in (folder / "policies" / pack).glob("*.json"):
        levels = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps(levels | dict.fromkeys(rules, "advisory")), encoding="utf-8")


def compare_packs(cli: Cli, name: str, folder: Path) -> Iterator[Comparison]:
    """Run all comparisons of one of `NAMES`."""
    stack = STACKS[NAMES.index(name)]
    folders = (folder / "ours", folder / "theirs")
    for each in folders:
        _copy(each)
    ours = Ours(folders[0], stack, open_clouds)
    with Official(cli, folders[1], stack, open_clouds) as official:
        mine, other = ours.preview(policies=True), official.preview(policies=True)
        yield Comparison(f"{name}: preview", list(_verdicts(mine, other)))
        for each in folders:
            _disable_synchronous_replication(each)
        mine, other = ours.up(policies=True), official.up(policies=True)
        yield Comparison(f"{name}: verdicts on a weakened program", list(_verdicts(mine, other, fails=True)))
        made = [f"{call.op} of {call.urn}" for call in (*ours.calls.take(), *official.calls.take())]
        yield Comparison(f"{name}: `up` of a weakened program does nothing", made)
        for each in folders:
            _make_advisory(each, "redundancy", FAILING)  # nobody reviewed the change
        mine, other = ours.preview(policies=True), official.preview(policies=True)
        yield Comparison(f"{name}: the stack's file makes the rule advisory", list(_verdicts(mine, other)))


def _copy(folder: Path) -> None:
    folder.mkdir()
    for file in FILES:
        shutil.copy2(ROOT / file, folder)
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    for part in FOLDERS:
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    # The copy has no reports of drills, because whether they are recent depends on today's date.
    _make_advisory(folder, "retention", ("cited-drills-are-recent",))


def _verdicts(ours: Outcome, official: Outcome, *, fails: bool = False) -> Iterator[str]:
    for outcome, name in ((ours, "ours"), (official, "Pulumi")):
        if outcome.ok == fails:
            yield f"{name} {'succeeded' if outcome.ok else 'failed'}: {'; '.join(outcome.messages)}"
    mandatory = any(verdict.mandatory for verdict in ours.verdicts)
    if mandatory != fails:
        yield f"ours has {'a' if mandatory else 'no'} mandatory verdict"
    for verdict in sorted(ours.verdicts ^ official.verdicts, key=_text):
        yield f"only {'ours' if verdict in ours.verdicts else 'Pulumi'} says: {_text(verdict)}"


def _text(verdict: Verdict) -> str:
    return f"{verdict.pack}: {verdict.rule}: {'mandatory' if verdict.mandatory else 'advisory'}: {verdict.urn}"
