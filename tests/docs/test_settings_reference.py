"""The operators' table of settings lists exactly the settings, with their defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from model.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key with its default; `...` if it is required."""
    for field in model.model_fields.values():
        key = f"{prefix}{field.alias}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings(field.annotation, f"{key}.")
        else:
            yield key, ... if field.is_required() else field.get_default(call_default_factory=True)


def documented() -> dict[str, str]:
    """Return the last column of each key's row. Another table has resource types, which begin with a capital."""
    text = (REPOSITORY / "docs" / "operating.md").read_text()
    return dict(re.findall(r"^\| `([a-z][\w.]*)` \|.*\| ([^|]+) \|$", text, re.MULTILINE))


def plain(default: Any) -> Any:
    """Return a default in the table's form: sections of a list as lists of their values."""
    if isinstance(default, tuple):
        return [list(item.model_dump().values()) if isinstance(item, BaseModel) else item for item in default]
    return default


def test_every_setting_is_documented_with_its_default() -> None:
    schema = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    # The project's schema has the defaults of scalars. There, an empty text or section means that the key is required.
    of_the_project = {key: entry["default"] for key, entry in schema.items() if entry["default"] not in ("", {})}
    truth = {key: of_the_project.get(key, default) for key, default in settings(Settings)}
    table = documented()
    assert table.keys() == truth.keys()
    for key, default in truth.items():
        cell = table[key].split(" (")[0].strip("`")
        if default is ...:
            assert cell == "required", key
        else:
            expected = "none" if default is None else plain(default)
            assert cell == (expected if isinstance(expected, str) else json.dumps(expected)), key
