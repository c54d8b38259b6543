"""Whole drills on a stack at AWS in memory: what is measured, what is mended, and where a drill stops."""

from __future__ import annotations

import json
from pathlib import Path

import boto3
import pytest

from drills.running import runner
from drills.running.aws import machines
from drills.running.aws.plan import plan_of
from drills.running.aws.stage import AwsStage
from drills.running.report import Report
from drills.scenarios import all_scenarios
from drills.sites.site import SiteError
from tests.drills.restore.fakes import TOPOLOGY
from tests.drills.running.aws.conftest import Calls
from tests.drills.running.aws.world import REGION, World
from tests.lanes import first

AT_AWS = [one for one in all_scenarios().values() if not one.not_at_aws]
ROOT = Path(__file__).parents[4]


def drill(name: str) -> Report:
    return runner.run_on(AwsStage, TOPOLOGY, ROOT, all_scenarios()[name], lambda _text: None)


def states() -> set[str]:
    pages = boto3.client("ec2", REGION).describe_instances()["Reservations"]
    return {one["State"]["Name"] for page in pages for one in page["Instances"]}


def nothing_is_left(world: World) -> None:
    assert states() == {"running"}
    assert world.tunnels == {"gateway-0", "gateway-1"}
    assert world.has_worker
    assert not any(machine.settings for machine in world.machines.values())
    assert not any(machine.name for machine in world.restores.machines.values())


@pytest.mark.parametrize("name", first(2, (one.name for one in AT_AWS)))
def test_a_scenario_runs_is_measured_and_leaves_nothing(world: World, calls: Calls, name: str):
    report = drill(name)
    assert report.stopped is None
    assert [check.text for check in report.checks if not check.holds] == []
    assert (report.verdict, report.on) == ("kept", "aws")
    assert report.measured["commits"]
    assert report.measured["recovery"] is not None
    nothing_is_left(world)
    planned = " ".join(plan_of(TOPOLOGY, ROOT, all_scenarios()[name]))
    assert [action for action in calls.actions if action not in planned] == []


def test_a_lost_leader_is_an_outage_until_clients_and_the_api_are_served(world: World):
    report = drill("coordinator-leader-lost")
    assert 0.8 <= report.measured["recovery"] < 10  # the world elects a leader after 0.8 s
    kinds = [event.kind for event in report.events]
    assert kinds.index("fault") < kinds.index("detection") < kinds.index("recovery")
    assert world.leaders["coordinator"] == "coordinator-1"


@pytest.mark.long
def test_clients_are_served_when_the_api_serves_too(world: World):
    world.api_delay = 2.5
    assert drill("coordinator-leader-lost").measured["recovery"] >= 3.3


def test_a_member_that_does_not_answer_does_not_lead(world: World, tmp_path: Path):
    stage = AwsStage(TOPOLOGY, ROOT, tmp_path, "run")
    real = world.run

    def run(member: str, command: str) -> str:
        if member == "coordinator-1":
            raise SiteError("curl: (7) Failed to connect")
        return real(member, command)

    world.run = run
    assert stage.leader("coordinator") == "coordinator-0"
    world.leaders["coordinator"] = "coordinator-1"
    with pytest.raises(SiteError, match="coordinator has 0 leaders among coordinator-0, coordinator-1"):
        stage.leader("coordinator")


def test_a_step_for_the_sandbox_only_is_an_error(world: World, tmp_path: Path):
    assert world
    stage = AwsStage(TOPOLOGY, ROOT, tmp_path, "run")
    steps = (
        lambda: stage.copies.lose("primary"),
        lambda: stage.lose_for_good("worker-1-0"),
        stage.begin_rebuilding,
        lambda: stage.roll(tmp_path),
        lambda: stage.deploy(tmp_path),
        lambda: stage.edge.output("statusTokens"),
        lambda: stage.edge.lose_database("status"),
        stage.edge.stop,
        stage.edge.start,
    )
    for step in steps:
        with pytest.raises(SiteError, match="staging is at AWS, and this step needs a part of the live sandbox"):
            step()


@pytest.mark.long
def test_lost_commits_are_found(world: World):
    world.loses = 3
    report = drill("coordinator-leader-lost")
    assert report.verdict == "missed"
    assert report.measured["lost"] == 3


def test_a_report_says_where_it_was_measured_and_names_no_account(world: World):
    assert world
    report = json.dumps(drill("tunnel-lost").as_json())
    assert "StopInstances" in report
    assert "agree within" in report
    assert "123456789012" not in report
    assert TOPOLOGY.settings.edge.account_id not in report


def test_a_refusal_to_stop_an_instance_stops_the_drill(world: World):
    boto3.client("ec2", REGION).modify_instance_attribute(
        InstanceId=world.ids["coordinator-0"], DisableApiStop={"Value": True}
    )
    report = drill("coordinator-leader-lost")
    assert report.verdict == "stopped"
    assert report.stopped is not None
    assert "step 1" in report.stopped
    assert "EC2 refused to stop coordinator-0" in report.stopped
    assert "--no-disable-api-stop" in report.stopped
    nothing_is_left(world)


def test_a_command_that_times_out_half_way_stops_the_drill_and_is_undone(world: World, monkeypatch: pytest.MonkeyPatch):
    timed_out = {"Status": "TimedOut"}
    failed = AwsStage.check

    def fail_from_now_on(stage: AwsStage, text: str, holds: bool, found: str) -> None:
        failed(stage, text, holds, found)
        world.failing["systemctl start backbuild-tunnel"] = timed_out

    monkeypatch.setattr(AwsStage, "check", fail_from_now_on)
    original = AwsStage.mend

    def mend(stage: AwsStage) -> None:
        world.failing.clear()  # the agent answers again
        original(stage)

    monkeypatch.setattr(AwsStage, "mend", mend)
    report = drill("tunnel-lost")
    assert report.verdict == "stopped"
    assert report.stopped is not None
    assert report.stopped.startswith("step 2")
    assert "gateway-0: TimedOut" in report.stopped
    assert "not undone" not in report.stopped
    nothing_is_left(world)


@pytest.mark.long
def test_what_cannot_be_undone_is_in_the_report(world: World, monkeypatch: pytest.MonkeyPatch):
    failed = AwsStage.check

    def fail_from_now_on(stage: AwsStage, text: str, holds: bool, found: str) -> None:
        failed(stage, text, holds, found)
        world.failing["systemctl start backbuild-tunnel"] = {"Status": "TimedOut"}

    monkeypatch.setattr(AwsStage, "check", fail_from_now_on)
    report = drill("tunnel-lost")
    assert report.stopped is not None
    assert "not undone: the tunnel's connectors: gateway-0: TimedOut" in report.stopped
    assert report.verdict == "stopped"


@pytest.mark.long
def test_the_other_gateways_get_their_tunnel_back_if_one_does_not(world: World, monkeypatch: pytest.MonkeyPatch):
    real = world.run

    def run(member: str, command: str) -> str:
        if member == "gateway-0" and command == "systemctl start backbuild-tunnel":
            raise SiteError("no answer")
        return real(member, command)

    monkeypatch.setattr(world, "run", run)
    report = drill("tunnel-lost")
    assert report.stopped is not None
    assert "not undone: the tunnel's connectors: gateway-0: no answer" in report.stopped
    assert world.tunnels == {"gateway-1"}


@pytest.mark.parametrize("comes_back", first(1, [True, False]))
def test_clients_that_could_not_be_stopped_are_stopped_later_or_named(
    world: World, monkeypatch: pytest.MonkeyPatch, comes_back: bool
):
    original = AwsStage.mend

    def mend(stage: AwsStage) -> None:
        if comes_back:
            world.failing.clear()
        original(stage)

    def silent(stage: AwsStage) -> None:
        world.failing = {machines.STOP: {"Status": "TimedOut"}, machines.REMOVE: {"Status": "TimedOut"}}
        served(stage)

    served = AwsStage.healthy
    monkeypatch.setattr(AwsStage, "healthy", silent)
    monkeypatch.setattr(AwsStage, "mend", mend)
    report = drill("coordinator-leader-lost")
    if comes_back:
        assert report.verdict == "kept"
        nothing_is_left(world)
    else:
        assert report.stopped is not None
        assert "not undone: the clients on the machines, which end by themselves after six hours: " in report.stopped


@pytest.mark.long
def test_a_lost_machine_that_a_later_step_leaves_is_started_again(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("drills.running.stage.HEALTHY_SECONDS", 1)
    world.groups["coordinator"] = ["coordinator-0"]  # no standby takes over
    monkeypatch.setattr(AwsStage, "served", lambda stage, *_groups: stage.until("they serve", lambda: False, 0.5))
    report = drill("coordinator-leader-lost")
    assert report.stopped is not None
    assert report.stopped.startswith("step 2")
    nothing_is_left(world)


@pytest.mark.long
def test_a_failed_up_is_tried_once_more_at_the_end_and_its_output_is_not_in_the_report(world: World):
    world.failing["pulumi up"] = {}
    report = drill("api-tier-lost")
    assert report.stopped is not None
    assert "`pulumi up` failed; read" in report.stopped
    assert "not-for-reports" not in json.dumps(report.as_json())
    nothing_is_left(world)


@pytest.mark.long
def test_a_worker_is_not_deleted_without_a_token_or_without_pulumi(world: World, monkeypatch: pytest.MonkeyPatch):
    def missing(**_given: object) -> None:
        raise FileNotFoundError("pulumi")

    monkeypatch.setattr("drills.running.aws.updates.automation.select_stack", missing)
    report = drill("api-tier-lost")
    assert report.stopped is not None
    assert "the Pulumi CLI is not installed" in report.stopped
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN")
    report = drill("api-tier-lost")
    assert report.stopped is not None
    assert "CLOUDFLARE_API_TOKEN is not set" in report.stopped
    assert world.has_worker


def test_a_wrong_token_is_refused_by_cloudflare(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "another-token")
    report = drill("api-tier-lost")
    assert report.stopped is not None
    assert "Cloudflare refused to delete backbuild-staging-api with status 403" in report.stopped
    assert "another-token" not in json.dumps(report.as_json())
    assert world.has_worker


def test_no_secret_is_in_a_command(world: World):
    drill("coordinator-leader-lost")
    text = "\n".join(command for _, command in world.commands)
    assert "password" not in text.lower()
    assert "a-token" not in text


def test_a_wrong_clock_is_refused_before_the_fault(world: World):
    world.clock_error = 60
    with pytest.raises(Exception, match=r"the clocks of .* differ by at least .* synchronise this computer's clock"):
        drill("zone-lost")
    nothing_is_left(world)
