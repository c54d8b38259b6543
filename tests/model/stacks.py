"""The shipped stacks' configuration, changed a little: what every test of the declared platform starts from."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from model.configuration import ConfigurationError, Problem, load
from model.settings import Settings
from model.topology import Topology

ROOT = Path(__file__).parents[2]
REMOVED = object()
"""Instead of a value: take the key away."""


@cache
def _shipped(stack: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]


def configured(stack: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The stack's `config`, its values replaced by `changes`: dotted path, without the namespace, to value.

    A number in a path is an index of a list.
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
    """The same as a program is given it: sections as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in configured(stack, changes).items()
    }


def settings_of(stack: str, changes: Mapping[str, Any] | None = None) -> Settings:
    """The settings, read as the program reads them."""
    return load(texts(stack, changes), stack)


def problems_of(stack: str, changes: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the settings; empty when they can be used."""
    try:
        settings_of(stack, changes)
    except ConfigurationError as error:
        return error.problems
    return []


def topology_of(stack: str, changes: Mapping[str, Any] | None = None) -> Topology:
    """The stack's shape."""
    return Topology(stack, settings_of(stack, changes))
