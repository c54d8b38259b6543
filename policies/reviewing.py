"""`python -m policies baseline`: show the contents that differ from the baseline, and record a review of them."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from console.errors import InputError
from console.tables import say
from policies import baseline
from policies.baseline import FILE, Baseline, Review
from policies.stacks import ROOT, brought_up, checked_out, require_commit
from policies.views.contents import Content, contents

STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True)
class Difference:
    """A content that is new, changed or gone since its review, with the lines that differ from the base."""

    stack: str
    key: str
    kind: str
    lines: Sequence[str]


def run(options: argparse.Namespace) -> int:
    """Run `baseline`. Return 0 if every content is reviewed or `--write` recorded its review, 1 if one differs."""
    if options.write and not options.by:
        raise InputError("--write: the reviewer is missing; add --by NAME")
    if options.by and not options.by.isprintable():
        raise InputError(f"--by: {options.by!r:.60} contains invisible characters; write a name on one line")
    stacks: list[str] = options.stack or [file.name.split(".")[1] for file in sorted(ROOT.glob("Pulumi.*.yaml"))]
    if options.base != "HEAD":
        require_commit(options.base)
    reviewed = baseline.load(FILE) if FILE.exists() else {}
    current = {stack: {one.key: one for one in contents(brought_up(stack).graph)} for stack in stacks}
    found = [one for stack in stacks for one in _compare(stack, current[stack], reviewed.get(stack), options.base)]
    if options.json:
        print(json.dumps([one.__dict__ for one in found]))
    else:
        _show(found)
    if options.write:
        written = {stack: dict(one.reviews) for stack, one in reviewed.items()}
        written |= {stack: _reviews(current[stack], reviewed.get(stack), options.by) for stack in stacks}
        FILE.write_text(baseline.render(written), encoding="utf-8")
        return 0
    return 1 if found else 0


def _compare(stack: str, current: Mapping[str, Content], reviewed: Baseline | None, base: str) -> list[Difference]:
    reviews: Mapping[str, Review] = {} if reviewed is None else reviewed.reviews
    kinds = {key: "new" for key in current if key not in reviews}
    kinds |= {key: "gone" for key in reviews if key not in current}
    kinds |= {key: "changed" for key, one in current.items() if key in reviews and not _same_content(reviews[key], one)}
    if not kinds:
        return []
    with checked_out(base) as folder:
        before = {one.key: one.text for one in contents(brought_up(stack, folder).graph)}
    return [
        Difference(stack, key, kind, _lines(before.get(key, ""), current[key].text if key in current else ""))
        for key, kind in kinds.items()
    ]


def _same_content(review: Review, content: Content) -> bool:
    return review.sha256 == content.sha256 and review.needs == list(content.needs)


def _lines(before: str, now: str) -> list[str]:
    return list(difflib.unified_diff(before.splitlines(), now.splitlines(), "base", "now", lineterm=""))[2:]


def _reviews(current: Mapping[str, Content], reviewed: Baseline | None, by: str) -> dict[str, Review]:
    """Return a review of each content: the old review if the SHA-256 is the same, else a new one of today."""
    old: Mapping[str, Review] = {} if reviewed is None else reviewed.reviews
    today = datetime.now(UTC).date()
    reviews: dict[str, Review] = {}
    for key, one in current.items():
        same = key in old and _same_content(old[key], one)
        reviews[key] = old[key] if same else Review(sha256=one.sha256, by=by, on=today, needs=list(one.needs))
    return reviews


def _same(found: Sequence[Difference]) -> list[tuple[list[str], Difference]]:
    """Group differences with the same lines: return the keys of their contents, and one difference of each group."""
    by_change: dict[tuple[str, tuple[str, ...]], tuple[list[str], Difference]] = {}
    for one in found:
        keys, _ = by_change.setdefault((one.kind, tuple(one.lines)), ([], one))
        keys.append(f"{one.stack}: {one.key}")
    return list(by_change.values())


def _show(found: Sequence[Difference]) -> None:
    for keys, one in _same(found):
        say(f"{', '.join(keys)}: {one.kind}", "bold")
        if not one.lines:
            say("  the base commit has the same content; name an older one with --base to see what changed")
        for line in one.lines:
            say(line, STYLES.get(line[:1], ""))
    if not found:
        say(f"Every content matches its review in {FILE.name}.")
