"""The restore drill: its schedule, its steps, what it may do, and the alarm on its age."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.alarms import RESTORE_AGE_SECONDS
from components.restore_drill import automation_document, definition_arn
from harness.stacks import topology_of
from model import metrics
from model.gates import REHEARSE_COMMAND, REHEARSE_SECONDS
from tests.components.project import Deployed

SECRET, ROLE = "arn:aws:secretsmanager:r:1:secret:s", "arn:aws:iam::1:role/r"


@pytest.fixture(params=["prod", "staging"])
def stack(request: pytest.FixtureRequest) -> Deployed:
    """Either stack."""
    return request.getfixturevalue(request.param)


def steps() -> dict[str, dict[str, Any]]:
    document = json.loads(automation_document("backbuild-x", role_arn=ROLE, secret_arn=SECRET))
    assert (document["schemaVersion"], document["assumeRole"]) == ("0.3", ROLE)
    return {step["name"]: step for step in document["mainSteps"]}


def test_the_secret_is_closed_after_every_end_of_the_other_steps():
    found = steps()
    assert list(found) == ["tag", "rehearse", "untag"]
    for name, following in (("tag", "rehearse"), ("rehearse", "untag")):
        assert (found[name]["nextStep"], found[name]["onFailure"], found[name]["onCancel"]) == (
            following,
            "step:untag",
            "step:untag",
        )
    assert found["untag"]["isEnd"] is True
    assert found["untag"]["inputs"] == {
        "Service": "secretsmanager",
        "Api": "UntagResource",
        "SecretId": SECRET,
        "TagKeys": ["Restoring"],
    }
    assert found["tag"]["inputs"] == {
        "Service": "secretsmanager",
        "Api": "TagResource",
        "SecretId": SECRET,
        "Tags": [{"Key": "Restoring", "Value": "true"}],
    }


def test_all_database_machines_rehearse_at_once():
    rehearse = steps()["rehearse"]
    inputs = rehearse["inputs"]
    assert inputs["Targets"] == [
        {"Key": "tag:Platform", "Values": ["backbuild-x"]},
        {"Key": "tag:Role", "Values": ["coordinator", "worker"]},
    ]
    assert inputs["Parameters"] == {"commands": [REHEARSE_COMMAND], "executionTimeout": [str(REHEARSE_SECONDS)]}
    assert (inputs["MaxConcurrency"], inputs["MaxErrors"]) == ("100%", "100%")
    assert rehearse["timeoutSeconds"] >= REHEARSE_SECONDS + inputs["TimeoutSeconds"]


def test_the_machines_have_the_tags_that_the_drill_selects(stack: Deployed):
    topology = topology_of(str(stack.resources[0]["urn"]).split(":")[2])
    document = json.loads(stack.inputs("Document")["restore-drill"]["content"])
    targets = document["mainSteps"][1]["inputs"]["Targets"]
    selected = {
        name
        for name, one in stack.inputs("Instance").items()
        if all(one["tags"].get(target["Key"].removeprefix("tag:")) in target["Values"] for target in targets)
    }
    assert selected == {member.name for group in topology.database_groups for member in group.members}


def test_the_rule_starts_the_automation_once_a_month(stack: Deployed):
    rule, target = stack.inputs("EventRule")["restore-drill"], stack.inputs("EventTarget")["restore-drill"]
    document, starter = stack.of("Document")["restore-drill"], stack.of("Role")["restore-drill-start"]
    assert rule["scheduleExpression"] == "cron(0 8 2 * ? *)"
    assert target["rule"] == rule["name"]
    name = document["inputs"]["name"]
    place = document["outputs"]["arn"].partition(":document/")[0]
    assert (
        target["arn"] == f"{place}:automation-definition/{name}:$DEFAULT" == definition_arn(document["outputs"]["arn"])
    )
    assert target["roleArn"] == starter["outputs"]["arn"]
    content = json.loads(document["inputs"]["content"])
    assert content["assumeRole"] == stack.of("Role")["restore-drill"]["outputs"]["arn"]
    assert {step["inputs"].get("SecretId") for step in content["mainSteps"]} == {
        stack.of("Secret")["access-backup-readers"]["outputs"]["arn"],
        None,
    }


def test_the_drills_day_and_hour_are_settings():
    changed = topology_of("prod", {"backups.restoreDrill": {"dayOfMonth": 28, "hourUtc": 23}})
    assert changed.schedules.restore_drill == "cron(0 23 28 * ? *)"


def test_the_roles_have_exactly_these_rights(stack: Deployed):
    prefix = topology_of(str(stack.resources[0]["urn"]).split(":")[2]).prefix
    arn = {
        kind: {name: one["outputs"].get("arn") for name, one in stack.of(kind).items()} for kind in ("Role", "Secret")
    }
    secret, automation = arn["Secret"]["access-backup-readers"], arn["Role"]["restore-drill"]
    place = "arn:aws:ssm:eu-central-1:*"
    of_role = {
        name: json.loads(stack.inputs("RolePolicy")[name]["policy"])["Statement"]
        for name in ("restore-drill", "restore-drill-start")
    }
    keys = {"ForAllValues:StringEquals": {"aws:TagKeys": ["Restoring"]}}
    assert [(one["Action"], one["Resource"], one.get("Condition")) for one in of_role["restore-drill"]] == [
        ("secretsmanager:TagResource", secret, {"StringEquals": {"aws:RequestTag/Restoring": "true"}, **keys}),
        ("secretsmanager:UntagResource", secret, keys),
        ("ssm:SendCommand", "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript", None),
        (
            "ssm:SendCommand",
            "arn:aws:ec2:eu-central-1:*:instance/*",
            {"StringEquals": {"ssm:resourceTag/Platform": prefix}},
        ),
        (["ssm:DescribeInstanceInformation", "ssm:ListCommandInvocations", "ssm:ListCommands"], "*", None),
    ]
    assert [(one["Action"], one["Resource"], one.get("Condition")) for one in of_role["restore-drill-start"]] == [
        (
            "ssm:StartAutomationExecution",
            [
                f"{place}:automation-definition/{prefix}-restore-drill:$DEFAULT",
                f"{place}:automation-execution/*",
                f"{place}:document/{prefix}-restore-drill",
            ],
            None,
        ),
        ("iam:PassRole", automation, {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}}),
    ]


def test_each_group_has_an_alarm_on_the_age_of_its_newest_rehearsal(stack: Deployed):
    topology = topology_of(str(stack.resources[0]["urn"]).split(":")[2])
    alarms = stack.inputs("MetricAlarm")
    for group in topology.database_groups:
        alarm = alarms[f"alarms-{group.name}-restore"]
        asked = [query["metric"] for query in alarm["metricQueries"] if "metric" in query]
        assert {one["dimensions"]["Member"] for one in asked} == {member.name for member in group.members}
        assert {(one["metricName"], one["stat"]) for one in asked} == {(metrics.RESTORE_AGE_SECONDS, "Minimum")}
        assert alarm["threshold"] == RESTORE_AGE_SECONDS == 40 * 86_400
        assert alarm["treatMissingData"] == "breaching"
