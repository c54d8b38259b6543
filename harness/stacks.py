"""The committed stacks' settings and topologies, and variants of them, for tests."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from machines.files import files_for
from model.configuration import ConfigurationError, Problem, load
from model.settings import Settings
from model.topology import Group, Member, Topology

ROOT = Path(__file__).parents[1]
REMOVED = object()
"""As a value in `changes`: remove the key."""


@cache
def _shipped(stack: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]


def configured(stack: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return a stack's `config` with `changes`: dotted path, without the namespace, to new value.

    A number in a path is an index of a list; the index after the last appends.
    """
    config = copy.deepcopy(_shipped(stack))
    for path, value in (changes or {}).items():
        first, *inner = path.split(".")
        section: Any = config
        key: Any = f"backbuild:{first}"
        for part in inner:
            section = section[key] if isinstance(key, int) else section.setdefault(key, {})
            key = int(part) if part.isdigit() else part
        if value is REMOVED:
            del section[key]
        elif isinstance(key, int) and key == len(section):
            section.append(value)
        else:
            section[key] = value
    return config


def texts(stack: str, changes: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the same as the program receives it: sections as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in configured(stack, changes).items()
    }


def settings_of(stack: str, changes: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings, read as the program reads them."""
    return load(texts(stack, changes), stack)


def problems_of(stack: str, changes: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of the settings; empty if they are valid."""
    try:
        settings_of(stack, changes)
    except ConfigurationError as error:
        return error.problems
    return []


def topology_of(stack: str, changes: Mapping[str, Any] | None = None) -> Topology:
    """Return the stack's topology."""
    return Topology(stack, settings_of(stack, changes))


def member(topology: Topology, name: str) -> Member:
    """Return the member of this name."""
    return next(one for group in topology.groups for one in group.members if one.name == name)


def members(topology: Topology) -> list[tuple[Group, Member]]:
    """Return every member with its group."""
    return [(group, one) for group in topology.groups for one in group.members]


def contents(topology: Topology, one: Member) -> dict[str, str]:
    """Return every file of the member: path to text."""
    return {file.path: file.content for file in files_for(topology, one)}
