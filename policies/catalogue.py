"""`docs/rules.md`: every rule by promise, with its rationale and remedy."""

from __future__ import annotations

from policies import promises
from policies.packs import PACKS, all_rules, rules_of
from policies.promises import Promise
from policies.rule import Rule

INTRODUCTION = """\
# Rules

`make rules` generates this page from the rules. [Policies](policies.md) describes when rules judge, how strict a stack
is, and how exemptions work. Figures are in [promises.toml](../promises.toml).
"""


def render() -> str:
    """Return the page: the rules of each promise, then each pack's rules."""
    found = all_rules()
    count = (
        f"There are {len(found)} rules: {' and '.join(f'{len(rules_of(pack))} in the pack {pack}' for pack in PACKS)}."
    )
    enforced = [
        "## Rules by promise",
        "",
        "| promise | figure | rules |",
        "|---|---|---|",
        *(_promise(promise, found) for promise in promises.load().values()),
    ]
    packs = [line for pack in PACKS for line in ("", f"## Pack {pack}", "", f"{PACKS[pack]}.", *_pack(pack))]
    return "\n".join([INTRODUCTION, count, "", *enforced, *packs]) + "\n"


def _promise(promise: Promise, rules: list[Rule]) -> str:
    enforcing = ", ".join(f"`{rule.id}`" for rule in rules if promise.id in rule.promises)
    return f"| {promise.id} {promise.promise} | {promise.figure} | {enforcing} |"


def _pack(pack: str) -> list[str]:
    rows = [
        f"| `{rule.id}` | {rule.severity.value} | {rule.title}. {rule.rationale} | {rule.remedy} |"
        for rule in rules_of(pack)
    ]
    return ["", "| rule | severity | what must hold, and why | remedy |", "|---|---|---|---|", *rows]
