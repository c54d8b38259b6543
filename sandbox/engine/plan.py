"""A plan or the result of an update: one step per resource, and its JSON form."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sandbox.provider import Change
from sandbox.values import Properties, Secret, Unknown, Value

COUNTED: Final[tuple[str, ...]] = ("same", "create", "update", "replace", "delete")


@dataclass(frozen=True)
class PropertyChange:
    """The change of one property; `old` or `new` is None if the property is absent before or after."""

    kind: Change
    old: Value
    new: Value


@dataclass
class Step:
    """The operation on one resource: `same`, `create`, `update`, `replace`, `delete`, `read` or `refresh`."""

    op: str
    urn: str
    type: str
    parent: str = ""
    diff: dict[str, PropertyChange] = field(default_factory=dict[str, PropertyChange])
    inputs: Properties = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Violation:
    """A policy violation. A `mandatory` one fails the run."""

    pack: str
    rule: str
    mandatory: bool
    urn: str
    message: str


class Plan:
    """The steps in the order in which they were planned, the stack's outputs, errors, warnings and violations."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.outputs: Properties = {}
        self.errors: list[tuple[str, str]] = []
        self.warnings: list[tuple[str, str]] = []
        self.violations: list[Violation] = []
        self.packs: list[str] = []
        self._lock: threading.Lock = threading.Lock()

    def add(self, step: Step) -> None:
        """Add a step. If the resource has one, replace it in its position."""
        with self._lock:
            self.steps[step.urn] = step

    def fail(self, urn: str, message: str) -> None:
        """Record an error; `urn` is empty if it concerns no resource."""
        with self._lock:
            if (urn, message) not in self.errors:
                self.errors.append((urn, message))

    def warn(self, urn: str, message: str) -> None:
        """Record a warning: the run continues, but the operator must do something."""
        self.warnings.append((urn, message))

    def record_violations(self, packs: list[str], violations: list[Violation]) -> None:
        """Record the violations that these policy packs found. A mandatory one is an error of the run."""
        self.packs, self.violations = packs, violations
        for one in violations:
            if one.mandatory:
                self.fail(one.urn, f"{one.pack}: {one.rule}: {one.message}")

    def summary(self) -> dict[str, int]:
        """Return the number of resources by operation. `read` and `refresh` are omitted if there are none."""
        counts: dict[str, int] = dict.fromkeys(COUNTED, 0)
        for step in self.steps.values():
            counts[step.op] = counts.get(step.op, 0) + 1
        return counts

    @property
    def changes(self) -> int:
        """The number of resources that change."""
        return sum(1 for step in self.steps.values() if step.op not in {"same", "read"})

    def to_json(self) -> dict[str, Any]:
        """Convert the plan to JSON. Secrets and unknown values are replaced by placeholders."""
        steps = [
            {"op": step.op, "urn": step.urn, "type": step.type, "diff": _diff_to_json(step.diff)}
            for step in self.steps.values()
        ]
        result: dict[str, Any] = {"steps": steps, "summary": self.summary(), "outputs": redact(self.outputs)}
        if self.violations:
            result["policies"] = [asdict(one) for one in self.violations]
        if self.warnings:
            result["warnings"] = [{"urn": urn, "message": message} for urn, message in self.warnings]
        if self.errors:
            result["errors"] = [{"urn": urn, "message": message} for urn, message in self.errors]
        return result


def _diff_to_json(diff: dict[str, PropertyChange]) -> dict[str, Any]:
    return {
        path: {"kind": str(change.kind), "old": redact(change.old), "new": redact(change.new)}
        for path, change in diff.items()
    }


def redact(value: Value) -> Any:
    """Return a value with `[secret]` and `[unknown]` in place of secrets and unknown values."""
    if isinstance(value, dict):
        return {key: redact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item) for item in value]
    if isinstance(value, Secret):
        return "[secret]"
    return "[unknown]" if isinstance(value, Unknown) else value
