"""A plan as lines of text: the changes as a tree by component, and the number of each operation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from rich.text import Text

from sandbox.engine.plan import Plan, PropertyChange, Step, redact
from sandbox.values import Properties

SYMBOLS: Final = {
    "same": " ", "create": "+", "update": "~", "replace": "+-", "delete": "-", "read": ">", "refresh": "~",
}  # fmt: skip
STYLES: Final = {
    "same": "", "create": "green", "update": "yellow", "replace": "magenta", "delete": "red", "read": "cyan",
    "refresh": "yellow",
}  # fmt: skip
_WIDTH: Final = 160


def lines(plan: Plan, *, details: bool) -> Iterator[Text]:
    """Yield the tree of changed resources, each below its component. Without changes, yield only the stack."""
    shown = _shown(plan)
    children: dict[str, list[Step]] = {}
    for step in shown.values():
        children.setdefault(step.parent if step.parent in shown else "", []).append(step)
    rows = list(_rows(children, "", "", top=True))
    width = max((len(head) for _, head, _ in rows), default=0)
    for step, head, indent in rows:
        symbol = SYMBOLS[step.op].ljust(2)
        yield Text(f" {symbol} {head.ljust(width)}  {'' if step.op == 'same' else step.op}".rstrip(), STYLES[step.op])
        for line in _changes(step, details=details):
            yield Text(f"    {indent}     ") + line


def _shown(plan: Plan) -> dict[str, Step]:
    """Return the steps that change something, and the components above them."""
    shown: set[str] = set()
    for step in plan.steps.values():
        if step.op != "same" or not step.parent:
            urn = step.urn
            while urn in plan.steps and urn not in shown:
                shown.add(urn)
                urn = plan.steps[urn].parent
    return {urn: step for urn, step in plan.steps.items() if urn in shown}


def _rows(children: dict[str, list[Step]], urn: str, indent: str, *, top: bool) -> Iterator[tuple[Step, str, str]]:
    below = children.get(urn, [])
    for step in below:
        last = step is below[-1]
        branch = "" if top else ("└─ " if last else "├─ ")
        deeper = indent if top else indent + ("   " if last else "│  ")
        yield step, f"{indent}{branch}{step.type}  {step.urn.rpartition('::')[2]}", deeper
        yield from _rows(children, step.urn, deeper, top=False)


def _changes(step: Step, *, details: bool) -> Iterator[Text]:
    if step.op == "create":
        if details:
            for key, value in step.inputs.items():
                yield Text(f"+ {key}: {_shorten(value)}", "green")
        return
    for path, change in step.diff.items():
        yield _change(path, change)


def _change(path: str, change: PropertyChange) -> Text:
    forces = " (forces replacement)" if change.kind.endswith("-replace") else ""
    kind = change.kind.removesuffix("-replace")
    if kind == "add":
        return Text(f"+ {path}: {_shorten(change.new)}{forces}", "green")
    if kind == "delete":
        return Text(f"- {path}: {_shorten(change.old)}{forces}", "red")
    return Text(f"~ {path}: {_shorten(change.old)} => {_shorten(change.new)}{forces}", "yellow")


def _shorten(value: Any) -> str:
    shown = redact(value)
    text = shown if shown in ("[secret]", "[unknown]") else json.dumps(shown, ensure_ascii=False)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def outputs(values: Properties) -> Iterator[str]:
    """Yield the stack's outputs, one per line."""
    width = max(map(len, values))
    for key in sorted(values):
        yield f"    {key.ljust(width)}: {_shorten(values[key])}"


def counts(plan: Plan, *, planned: bool) -> Iterator[Text]:
    """Yield the number of resources for each operation, in Pulumi's wording."""
    done = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted", "read": "read"}
    for op, count in plan.summary().items():
        if count and op != "same":
            yield Text(f"    {SYMBOLS[op]} {count} {f'to {op}' if planned else done.get(op, op)}", STYLES[op])
    if same := plan.summary()["same"]:
        yield Text(f"    {same} unchanged")
