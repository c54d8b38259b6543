"""Patroni's effective settings on a machine, and PostgreSQL's parameters among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, cast

from policies.graph import Undetermined
from policies.views.machines import CITUS, PATRONI, UNITS, Machine, yaml_of
from policies.views.units import packaged_overridden

CONFIGURE: Final = "/usr/local/lib/backbuild/patroni-configure"
APPLY: Final = "/usr/local/lib/backbuild/patroni-apply"
# The line of patroni-apply that reads the group's settings. Patroni itself reads them only when it creates the group.
APPLIES: Final = (
    "settings=$(python3 -c 'import json, yaml; "
    f'print(json.dumps(yaml.safe_load(open("{PATRONI}"))["bootstrap"]["dcs"]))\')'
)
CHANGES: Final = re.compile(r"\bedit-config\b|-X ?(?:PATCH|PUT)\b.*/config\b")
RUN: Final = "/run/backbuild/patroni"  # the folder of Patroni's configuration
# All lines of patroni-configure that name that folder. Patroni merges the files in it in the order of their names.
WRITES: Final = (
    'install -d -m 0755 -o root -g root "$patroni" "$pgbackrest"',
    'rm -f "$patroni"/*.yml',
    f'as_postgres {PATRONI} "$patroni/10-group.yml"',
    f'as_postgres {CITUS} "$patroni/20-citus.yml"',
    'cat >"$patroni/30-machine.yml" <<YAML',
    'chown postgres:postgres "$patroni/30-machine.yml"',
)
OWN: Final = re.compile(r'^cat >"\$patroni/30-machine\.yml" <<YAML\n(.*?)^YAML$', re.MULTILINE | re.DOTALL)
DROP_IN: Final = f"{UNITS}/patroni.service.d/backbuild.conf"
# The keys that the drop-in of Patroni's unit may set, and their values. None: any value is accepted.
SERVICE: Final = {
    "ExecStartPre": ("+/usr/local/lib/backbuild/patroni-configure",),
    "ExecStart": ("", f"/usr/bin/patroni {RUN}"),
    "ExecStartPost": ("-/usr/local/lib/backbuild/patroni-apply",),
    **dict.fromkeys(("TimeoutSec", "Restart", "RestartSec", "LimitNOFILE", "OOMScoreAdjust")),
}
# Settings of Patroni with which PostgreSQL reads other files, or another program starts.
OTHER_SOURCES: Final = ("custom_conf", "config_dir", "bin_name")
INCLUDING: Final = ("include", "include_dir", "include_if_exists", "config_file")
SERVER_FILES: Final = "/etc/postgresql/"


def patroni_settings(machine: Machine) -> Mapping[str, Any]:
    """Return Patroni's settings: those of the rendered files, and those that patroni-configure adds on the machine.

    Raises `Undetermined` if another file may change them.
    """
    script = machine.file(CONFIGURE)
    writes = [line.strip() for line in script.splitlines() if "$patroni" in line]
    own = OWN.search(script)
    if writes != list(WRITES) or own is None or f"patroni={RUN}" not in script.splitlines():
        raise Undetermined(machine.urn, CONFIGURE, "writes Patroni's configuration in a way that this rule cannot read")
    if [line for line in machine.file(APPLY).splitlines() if "settings=" in line] != [APPLIES]:
        raise Undetermined(machine.urn, APPLY, f"does not apply bootstrap.dcs of {PATRONI}")
    for path, content in machine.files.items():
        if path != APPLY and _changes(content):
            raise Undetermined(machine.urn, path, f"changes the group's settings; {APPLY} alone may do that")
        if "PATRONI_" in content:
            raise Undetermined(machine.urn, path, "sets or reads a variable PATRONI_…, which overrides Patroni's files")
        if found := _in_run(content):
            raise Undetermined(machine.urn, path, f"names {found}, which may be part of Patroni's configuration")
    if wrong := packaged_overridden(machine, "patroni", DROP_IN, SERVICE):
        raise Undetermined(machine.urn, "patroni.service", f"may have other settings: {wrong}")
    merged: dict[str, Any] = {}
    for source, text in ((PATRONI, machine.file(PATRONI)), (CITUS, machine.file(CITUS)), (CONFIGURE, own[1])):
        settings = yaml_of(text)
        if not isinstance(settings, dict):
            raise Undetermined(machine.urn, source, "is not a mapping in YAML")
        merged = _merged(merged, settings)
    return merged


@cache
def _in_run(content: str) -> str:
    found = re.search(rf"{RUN}/\S*", content)
    return found[0] if found else ""


@cache
def _changes(content: str) -> bool:
    return CHANGES.search(content) is not None


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    below, above = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}


def section(settings: object, name: str) -> Mapping[str, Any]:
    """Return the mapping `name` in settings, empty if there is none."""
    found = cast("Mapping[str, Any]", settings).get(name) if isinstance(settings, dict) else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def own_parameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the machine's parameters of PostgreSQL, by name in lower case."""
    return {key.lower(): value for key, value in section(section(settings, "postgresql"), "parameters").items()}


def parameters(machine: Machine) -> dict[str, Any]:
    """Return PostgreSQL's effective parameters, by name in lower case; the machine's own override the group's.

    Raises `Undetermined` if another source may override them.
    """
    settings = patroni_settings(machine)
    group = own_parameters({"postgresql": machine.dcs.read("postgresql")})
    found = {**group, **own_parameters(settings)}
    for key in OTHER_SOURCES:
        if key in section(settings, "postgresql"):
            raise Undetermined(machine.urn, f"{PATRONI}: postgresql.{key}", "may override PostgreSQL's parameters")
    for name in INCLUDING:
        if name in found:
            raise Undetermined(machine.urn, f"{PATRONI}: {name}", "adds a file that overrides PostgreSQL's parameters")
    folders = (SERVER_FILES, f"{machine.patroni.text('postgresql.data_dir')}/")
    for path, content in machine.files.items():
        if path.startswith(folders):
            raise Undetermined(machine.urn, path, "may override PostgreSQL's parameters")
        if _alters(content):
            raise Undetermined(machine.urn, path, "has ALTER … SET, which overrides PostgreSQL's parameters")
    return found


@cache
def _alters(content: str) -> bool:
    return re.search(r"\balter\s+(system|role|user|database)\b[^;]*\b(set|reset)\b", content, re.IGNORECASE) is not None
