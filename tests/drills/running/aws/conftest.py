"""A stack at AWS in memory, with short times."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from pulumi import automation

from drills.running import prober, stage, traffic
from drills.running.aws import edge, updates
from drills.running.aws import stage as aws_stage
from drills.running.aws import traffic as aws_traffic
from drills.scenarios import consensus_quorum_lost
from drills.sites.aws import AwsSite
from tests.drills.running.aws.world import SystemsManager, World, internet, simulated


class Calls:
    """The actions that were called at AWS."""

    def __init__(self) -> None:
        self.actions: set[str] = set()
        self.lock = threading.Lock()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    recorded, original = Calls(), BaseClient._make_api_call

    def record(client: Any, operation: str, given: Any) -> Any:
        with recorded.lock:
            recorded.actions.add(f"{client.meta.service_model.service_name}:{operation}")
        return original(client, operation, given)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    return recorded


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """A stack whose machines are healthy."""
    for module, name, value in (
        (stage, "STEADY_SECONDS", 0.3),
        (stage, "PAUSE", 0.05),
        (traffic, "FRESH_SECONDS", 0.3),
        (aws_traffic, "READ_SECONDS", 0.02),
        (aws_stage, "MENDING_PAUSE", 0.1),
        (prober, "PERIOD", 0.05),
        (consensus_quorum_lost, "HELD_SECONDS", 1),
        (stage, "POINT_SECONDS", 0.1),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(aws_stage.AwsStage, "pass_time", lambda _self, seconds: time.sleep(min(seconds, 1)))
    monkeypatch.setenv(edge.TOKEN, "a-token")
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path / "sandbox"))
    with simulated(monkeypatch) as ids:
        made = World(ids)
        monkeypatch.setattr(aws_stage, "AwsSite", lambda topology: site_of(made, topology, monkeypatch))
        monkeypatch.setattr(updates.automation, "select_stack", lambda **_given: FakeStack(made))
        with internet(made) as url:
            monkeypatch.setattr(edge.AwsEdge, "url", lambda _self, _hostname: url)
            monkeypatch.setattr(edge, "CLOUDFLARE", url.rstrip("/"))
            made.start()
            try:
                yield made
            finally:
                made.stop()


def site_of(world: World, topology: Any, monkeypatch: pytest.MonkeyPatch) -> AwsSite:
    """Return the real site, with a stub for commands, whose instances take power from the world."""
    site = AwsSite(topology)
    site.poll_seconds = 0.02
    clients: dict[str, Any] = site._clients
    clients["ssm"] = SystemsManager(world)
    ec2 = clients["ec2"]
    stop, start = ec2.stop_instances, ec2.start_instances

    def stop_instances(**given: Any) -> Any:
        answer = stop(**given)
        world.power(given["InstanceIds"], on=False)
        return answer

    def start_instances(**given: Any) -> Any:
        answer = start(**given)
        world.power(given["InstanceIds"], on=True)
        return answer

    monkeypatch.setattr(ec2, "stop_instances", stop_instances)
    monkeypatch.setattr(ec2, "start_instances", start_instances)
    return site


class FakeStack:
    """Pulumi's stack: `up` deploys the Worker."""

    def __init__(self, world: World) -> None:
        self._world = world

    def refresh(self, **given: Any) -> None:
        assert not given["show_secrets"]
        given["on_output"]("refreshing")

    def up(self, **given: Any) -> None:
        assert not given["show_secrets"]
        if "pulumi up" in self._world.failing:
            del self._world.failing["pulumi up"]
            raise automation.CommandError(_Result())
        self._world.has_worker = True


class _Result:
    """What a command of Pulumi's CLI that failed has printed."""

    code, stdout, stderr = 255, "", "error: token=not-for-reports"
