"""Tags that operators set on secrets at run time, as `aws secretsmanager tag-resource` does; no program declares them.

The file `tags.json` in the folder of a live stack's services maps a secret's name to its tags. It is read at each
request, so that a change has an immediate effect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sandbox.machines.place import Place

_FILE = "tags.json"


def tags_of(services: Path, secret: str) -> dict[str, str]:
    """Return the tags of a secret; `services` is the folder of a live stack's services."""
    return _read(services).get(secret, {})


def set_tag(place: Place, secret: str, key: str, value: str) -> None:
    """Set a tag of the secret with this name."""
    known = _read(place.services)
    _write(place.services, known | {secret: known.get(secret, {}) | {key: value}})


def remove_tag(place: Place, secret: str, key: str) -> None:
    """Remove a tag of the secret with this name, if it has the tag."""
    known = _read(place.services)
    left = {name: text for name, text in known.get(secret, {}).items() if name != key}
    _write(place.services, known | {secret: left})


def _read(services: Path) -> dict[str, dict[str, str]]:
    file = services / _FILE
    return json.loads(file.read_text()) if file.exists() else {}


def _write(services: Path, tags: Mapping[str, Mapping[str, str]]) -> None:
    aside = services / f"{_FILE}.new"
    aside.write_text(json.dumps(tags))
    aside.replace(services / _FILE)
