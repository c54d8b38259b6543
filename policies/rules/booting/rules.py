"""Redundancy: machines boot with exactly the files that the other rules judge."""

from __future__ import annotations

from policies.controls import REDUNDANCY
from policies.graph import Graph
from policies.rule import Severity, define
from policies.views.machines import Machine, machines


@define(
    "redundancy",
    "boots-what-is-judged",
    Severity.CRITICAL,
    "A machine installs only the archive of files whose SHA-256 is in its user data",
    over=machines,
    promises=("RED-2",),
    controls=REDUNDANCY,
    remedy="render the user data in machines/user_data.py; store the archive in components/citus.py",
)
def boots_what_is_judged(_: Graph, machine: Machine) -> str | None:
    """The other rules judge the files in this archive, so a machine must not install other files."""
    return None if machine.files else "its archive is empty"
