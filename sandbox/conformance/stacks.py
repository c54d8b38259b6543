"""Compares the committed stacks under both engines: create, plan with each group of settings changed, destroy."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import yaml

from sandbox.clouds import open_clouds
from sandbox.conformance.sides import Official, Ours
from sandbox.conformance.trial import Comparison, compare_updates, plan, takeover
from sandbox.official.cli import Cli

ROOT: Final = Path(__file__).resolve().parents[2]
STACKS: Final = ("staging", "prod")
NAMES: Final = tuple(f"the stack {stack}" for stack in STACKS)

# One change for each group of settings: the keys below `backbuild:`, and their new values.
CHANGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "tags": {"tags.team": "storage"},
    "contact": {"contact": "availability@backbuild.ai"},
    "protect": {"protect": None},
    "domain": {"domain": "backbuild.example"},
    "statusDomain": {"statusDomain": "backbuild-status.example"},
    "edge": {"edge.accountId": "fedcba9876543210fedcba9876543210"},
    "api.hostname": {"api.hostname": "gateway"},
    "database.network": {"database.network": "10.99.0.0/16"},
    "database.image": {"database.image": "ami-0a1b2c3d4e5f60718"},
    "database.coordinator.instanceType": {"database.coordinator.instanceType": "r7i.4xlarge"},
    "database.workers.volumeGib": {"database.workers.volumeGib": 2000},
    "database.workers.groups, one more": {"database.workers.groups": 5},
    "database.consensus": {"database.consensus.members": 5},
    "database.gateways": {"database.gateways.members": 3},
    "backups.rotation": {"backups.rotation.monthlyMonths": 14},
    "backups.pointInTimeDays": {"backups.pointInTimeDays": 6},
    "backups.fullHourUtc": {"backups.fullHourUtc": 4},
    "maintenance": {"maintenance.weekday": "SUN"},
    "uptime": {"uptime.targetPercent": 99.95},
    "status": {"status.components": [{"id": "docs", "name": "Documentation", "url": "https://docs.backbuild.dev/up"}]},
    "alarms": {"alarms.diskUsedPercent": 70},
}
# Successive updates of staging, after each of which the states are compared.
LIFE: Final[Mapping[str, Mapping[str, Any]]] = {
    "one more worker group": {"database.workers.groups": 2},
    "another image": {"database.image": "ami-0a1b2c3d4e5f60718"},
    "another instance type": {"database.coordinator.instanceType": "t3.large"},
    "one worker group fewer": {"database.workers.groups": 1},
    "another contact and another window": {"contact": "availability@backbuild.ai", "maintenance.weekday": "SUN"},
}


def compare_stack(cli: Cli, name: str, folder: Path) -> Iterator[Comparison]:
    """Run all comparisons of one of `NAMES`."""
    stack = STACKS[NAMES.index(name)]
    folders = (folder / "ours", folder / "theirs")
    with ExitStack() as opened:
        for each in folders:
            each.mkdir()
        configuration = committed(stack)
        configure(folders, stack, configuration)
        ours = Ours(folders[0], stack, open_clouds)
        official = opened.enter_context(Official(cli, folders[1], stack, open_clouds))

        yield Comparison(f"{name}: plan from nothing", list(plan(ours.preview(), official.preview())))
        for what, differences in compare_updates(ours.up(), official.up(), ours, official):
            yield Comparison(f"{name}: {what}", list(differences))
        for group, changes in CHANGES.items():
            configure(folders, stack, changed(configuration, changes))
            yield Comparison(f"{name}: plan with another {group}", list(plan(ours.preview(), official.preview())))
        if stack == "staging":
            for step, changes in LIFE.items():
                configuration = changed(configuration, changes)
                configure(folders, stack, configuration)
                for what, differences in compare_updates(ours.up(), official.up(), ours, official):
                    yield Comparison(f"{name}: {step}: {what}", list(differences))
        configure(folders, stack, configuration)
        exports = ours.export(), official.export()
    for what, differences in takeover(cli, folders, stack, open_clouds, exports):
        yield Comparison(f"{name}: {what}", differences)
    if stack == "staging":
        yield from _destroyed(cli, name, folders, stack)


def _destroyed(cli: Cli, name: str, folders: tuple[Path, Path], stack: str) -> Iterator[Comparison]:
    """Destroy each stack with the other engine, which holds its state after the takeover."""
    ours = Ours(folders[1], stack, open_clouds)
    with Official(cli, folders[0], stack, open_clouds) as official:
        official.load(Ours(folders[0], stack, open_clouds).export())
        for what, differences in compare_updates(ours.destroy(), official.destroy(), ours, official):
            yield Comparison(f"{name}: destroy: {what}", list(differences))


def committed(stack: str) -> dict[str, Any]:
    """Return the configuration in the stack's committed file."""
    return yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]


def changed(configuration: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with values set at paths below `backbuild:`; None inverts a boolean."""
    result = copy.deepcopy(configuration)
    for path, value in changes.items():
        first, *rest = path.split(".")
        keys = [f"backbuild:{first}", *rest]
        table = result
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = not table.get(keys[-1], False) if value is None else value
    return result


def configure(folders: tuple[Path, Path], stack: str, configuration: dict[str, Any]) -> None:
    """Write both projects: the committed program with this configuration."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8")) | {"main": str(ROOT)}
    for folder in folders:
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
        (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": configuration}), encoding="utf-8")
