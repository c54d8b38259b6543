"""A dry run at AWS: it shows every step with its calls, and needs no account and no network."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from drills.__main__ import main
from drills.scenarios import all_scenarios

ROOT = Path(__file__).parents[4]
AT_AWS = [one for one in all_scenarios().values() if not one.not_at_aws]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise AssertionError(f"connects to {given}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "CLOUDFLARE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")


def shown(capsys: pytest.CaptureFixture[str], name: str, stack: str = "staging") -> str:
    assert main(["run", name, "--stack", stack, "--on", "aws", "--dry-run", "--cwd", str(ROOT)]) == 0
    printed = capsys.readouterr()
    assert "tried against stand-ins only" in printed.err
    return printed.out


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_all_means_all_that_can_run_there(capsys: pytest.CaptureFixture[str], stack: str):
    text = shown(capsys, "all", stack)
    assert all(step.text in text for scenario in AT_AWS for step in scenario.steps)
    assert "rolling-change" not in text


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("name", "calls"),
    [
        (
            "zone-lost",
            [
                "ec2:StopInstances (Force, SkipOsShutdown) on consensus-2, coordinator-0, gateway-1",
                "ec2:StartInstances on consensus-2, coordinator-0, gateway-1",
            ],
        ),
        ("coordinator-leader-lost", ["ec2:StopInstances (Force, SkipOsShutdown) on coordinator-0"]),
        ("tunnel-lost", ["ssm:SendCommand on gateway-0, gateway-1: systemctl stop backbuild-tunnel"]),
        (
            "api-tier-lost",
            [
                "Cloudflare: DELETE: /accounts/…/workers/scripts/backbuild-staging-api?force=true",
                "Pulumi's Automation API: refresh, then up",
            ],
        ),
        ("table-dropped", ["secretsmanager:TagResource: backbuild-staging/backups/readers"]),
    ],
)
def test_a_step_shows_what_it_would_call(capsys: pytest.CaptureFixture[str], name: str, calls: list[str]):
    text = shown(capsys, name)
    assert [call for call in calls if call not in text] == []
    assert text.index("ssm:PutParameter") < text.index(calls[0]) < text.index("ssm:DeleteParameter")
