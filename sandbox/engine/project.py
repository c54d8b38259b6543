"""Read `Pulumi.yaml` and `Pulumi.STACK.yaml`: the program's path and its configuration, merged as Pulumi merges it.

Keys of the project's schema are in the project's namespace; a stack's value overrides the schema's default. One
`InputError` reports all problems, each with its key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from sandbox.engine.errors import InputError

_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "string": lambda value: not isinstance(value, dict | list),
    "integer": lambda value: _is_number(value, r"[+-]?\d+"),
    "number": lambda value: _is_number(value, r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    "boolean": lambda value: isinstance(value, bool) or value in {"true", "false"},
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


@dataclass(frozen=True)
class Project:
    """A project and the configuration of one stack, as programs receive it: strings by namespaced key."""

    root: Path
    name: str
    stack: str
    program: Path
    config: dict[str, str]
    secret_keys: list[str]


def load(root: Path, stack: str) -> Project:
    """Read the project in `root` and the configuration of `stack`. Raise an `InputError` if they are invalid."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", stack):
        raise InputError(f"{stack!r} is not a valid stack name; use up to 100 letters, digits, `-`, `_` and `.`")
    file = root / "Pulumi.yaml"
    document = _read(
        file, f"{root} is not a Pulumi project; run the command in the project's folder, or pass that folder with --cwd"
    )
    name = document.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{file}: `name` is missing; give the project a name")
    _check_runtime(file, document.get("runtime"))
    stack_file = root / str(document.get("stackConfigDir", ".")) / f"Pulumi.{stack}.yaml"
    known = ", ".join(sorted(p.name.split(".")[1] for p in stack_file.parent.glob("Pulumi.*.yaml"))) or "none"
    settings = _read(
        stack_file, f"the project has no stack {stack!r} (it has: {known}); create the file or pass another stack"
    )
    if settings.get("environment"):
        raise InputError(
            f"{stack_file}: `environment` is not supported by the sandbox; write the values under `config`"
        )
    values, problems = merge(name, stack, document.get("config") or {}, settings.get("config") or {})
    if problems:
        raise InputError(f"{stack_file}: " + "; ".join(problems))
    config, secret_keys = values
    program = _program(root, str(document.get("main", ".")))
    return Project(root, name, stack, program, config, secret_keys)


def merge(
    project: str, stack: str, schema: dict[str, Any], given: dict[str, Any]
) -> tuple[tuple[dict[str, str], list[str]], list[str]]:
    """Merge the stack's values into the project's schema.

    Return ((values as text by key, keys of secrets), problems).
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    secret_keys: list[str] = []
    for key, value in given.items():
        if ":" not in key:
            problems.append(f"{key}: the key has no namespace; write {project}:{key}")
        elif encrypted := list(_encrypted(key, value)):
            problems += [
                f"{path}: encrypted values (`secure`) are not supported by the sandbox; generate them in the program"
                for path in encrypted
            ]
        else:
            values[key] = value
    for key, declared in schema.items():
        full = key if ":" in key else f"{project}:{key}"
        entry = cast(dict[str, Any], declared) if isinstance(declared, dict) else {"default": declared}
        if full not in given:
            fallback = entry.get("default", entry.get("value"))
            if fallback is not None:
                values[full] = fallback
            elif ":" not in key:
                problems.append(
                    f"{full}: stack {stack!r} sets no value and the schema has no default; set it under `config`"
                )
        if full in values:
            problems.extend(_mismatches(full, entry, values[full]))
        if entry.get("secret"):
            secret_keys.append(full)
    return ({key: _text(value) for key, value in values.items()}, secret_keys), problems


def _encrypted(path: str, value: Any) -> Iterator[str]:
    """Yield the path of every encrypted value, at any depth."""
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        if fields.keys() == {"secure"}:
            yield path
        else:
            for name, inner in fields.items():
                yield from _encrypted(f"{path}.{name}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(cast(list[Any], value)):
            yield from _encrypted(f"{path}[{index}]", inner)


def _mismatches(key: str, declared: dict[str, Any], value: Any) -> list[str]:
    kind = declared.get("type")
    if kind is None:
        return []
    if kind not in _TYPES:
        return [f"{key}: its type {kind!r} in Pulumi.yaml is unknown; use one of {', '.join(_TYPES)}"]
    if not _TYPES[kind](value):
        return [f"{key}: {_text(value)!r} is not of type {kind}"]
    items = declared.get("items")
    if kind == "array" and isinstance(items, dict):
        return [
            problem
            for index, item in enumerate(cast(list[Any], value))
            for problem in _mismatches(f"{key}[{index}]", cast(dict[str, Any], items), item)
        ]
    return []


def _is_number(value: Any, pattern: str) -> bool:
    return (
        not isinstance(value, bool) and isinstance(value, int | float | str) and bool(re.fullmatch(pattern, str(value)))
    )


def _text(value: Any) -> str:
    """Return a value as programs receive it: structures as JSON, other values as text."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), sort_keys=True, default=str)


def _read(file: Path, missing: str) -> dict[str, Any]:
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (derived from the safe loader)
    except FileNotFoundError:
        raise InputError(f"{file} does not exist: {missing}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{file}:{line}: {error.problem}; correct the YAML") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InputError(f"{file}:1: a mapping is expected, not {type(document).__name__}")
    if not isinstance(cast(dict[str, Any], document).get("config") or {}, dict):
        raise InputError(f"{file}: `config` must be a mapping of keys to values")
    return cast(dict[str, Any], document)


class _Loader(yaml.CSafeLoader):
    """A loader that rejects duplicate keys. YAML would silently keep the last one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is a duplicate", key_node.start_mark
                )
            seen.add(str(key))
        return super().construct_mapping(node, deep)


def _check_runtime(file: Path, runtime: Any) -> None:
    name = cast(dict[str, Any], runtime).get("name") if isinstance(runtime, dict) else runtime
    if name != "python":
        raise InputError(f"{file}: `runtime` is {name!r}; the sandbox runs only python programs")


def _program(root: Path, main: str) -> Path:
    program = (root / main).resolve()
    started = program / "__main__.py" if program.is_dir() else program
    if not started.exists():
        raise InputError(f"the program {started} does not exist; create it, or correct `main` in Pulumi.yaml")
    return program
