"""Read a stack's topology from the project's files, without Pulumi and without any cloud."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, cast

import yaml

from console.errors import InputError
from model.configuration import NAMESPACE, ConfigurationError, load
from model.topology import Topology
from model.worker_modules import PROJECT


def topology_of(stack: str, project: Path = PROJECT) -> Topology:
    """Return the topology of `Pulumi.STACK.yaml` with the defaults of `Pulumi.yaml`. Raises `InputError`."""
    known = sorted(path.name.split(".")[1] for path in project.glob("Pulumi.*.yaml"))
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", stack) or stack not in known:
        raise InputError(
            f"{stack!r} is not a stack: Pulumi.{stack}.yaml does not exist; stacks: {', '.join(known) or 'none'}"
        )
    schema = _config(project / "Pulumi.yaml")
    values = {f"{NAMESPACE}:{key}": entry["default"] for key, entry in schema.items()}
    values |= _config(project / f"Pulumi.{stack}.yaml")
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    try:
        return Topology(stack, load(texts, stack))
    except ConfigurationError as error:
        raise InputError(str(error)) from None


def _config(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    config = cast("dict[str, Any]", document).get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise InputError(f"{file} has no section `config`, which contains the stack's settings")
    return cast("dict[str, Any]", config)
