"""Topologies for tests: the two real stacks, and variants of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from machines.files import files_for
from model import configuration
from model.topology import Group, Member, Topology

ROOT = Path(__file__).parents[1]


def stack(name: str, **database: Any) -> Topology:
    """Return the topology of a stack file; keywords replace keys in subsections of its `database` section."""
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    for section, changes in database.items():
        config["backbuild:database"][section] |= changes
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    return Topology(name, configuration.load(texts, name))


def member(topology: Topology, name: str) -> Member:
    """Return the member of this name."""
    return next(one for group in topology.groups for one in group.members if one.name == name)


def members(topology: Topology) -> list[tuple[Group, Member]]:
    """Return every member with its group."""
    return [(group, one) for group in topology.groups for one in group.members]


def contents(topology: Topology, one: Member) -> dict[str, str]:
    """Return every file of the member: path to text."""
    return {file.path: file.content for file in files_for(topology, one)}
