"""Redundancy: machines boot with the files that the other rules judge."""

from __future__ import annotations

from policies.controls import REDUNDANCY
from policies.graph import Graph
from policies.rule import Severity, define
from policies.views.machines import Machine, machines


@define(
    "redundancy",
    "boots-what-is-judged",
    Severity.CRITICAL,
    "A machine installs the archive that its user data pins, and nothing else",
    over=machines,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="render the user data in machines/user_data.py; store the archive in components/citus.py",
)
def boots_what_is_judged(_: Graph, machine: Machine) -> str | None:
    """Rules judge the files in the archive, so a machine may install no other files."""
    return None if machine.files else "its archive is empty"
