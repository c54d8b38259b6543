"""Weakenings of restores: keys that write or stay readable, copies without a key, and drills that do not happen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from policies.graph import Graph, Resource
from policies.mutation.files import DATABASE, edit
from policies.mutation.operators import (
    ABSENT,
    Operator,
    Where,
    assigned,
    chain,
    declare,
    drop,
    each,
    ending,
    named,
    put,
    revised,
    substitute,
    unlink,
)
from policies.mutation.weakening import Weakenings
from policies.views.events import EVENT_RULE, EVENT_TARGET
from policies.views.machines import ENVIRONMENT
from policies.views.permissions import ACCESS_KEY, ROLE_POLICY, TOKEN, USER_POLICY
from policies.views.restoring import DOCUMENT, SECRET_VERSION
from policies.views.rights.attachments import SECRET, SECRET_POLICY

READER, OF_DRILL, OF_ALARM = ending("-reader"), named("restore-drill"), named("alarms-rehearsal")
MACHINES, READERS_SECRET = ending("access-coordinator", "access-worker"), named("access-backup-readers")
STARTER, AUTOMATION = ending("restore-drill-start"), ending("restore-drill")
USER_NAME = "backbuild-prod-offsite-reader"
READERS_NAME = "backbuild-prod/backups/readers"
WRITE, CONFIGURE = "2efd5506f9c8494dacb1fa10a3e7d5b6", "bf7481a1826f439697cb59a20b22293e"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
STRANGER = "arn:aws:iam::666666666666:root"
GET = "secretsmanager:GetSecretValue"
GROUPS, BUCKETS = "policies[0].permissionGroups", "policies[0].resources"
BOTH = [
    f"com.cloudflare.edge.r2.bucket.0123456789abcdef0123456789abcdef_{place}"
    for place in ("eu_backbuild-prod-backups", "us_backbuild-prod-backups-replica")
]
Statement = dict[str, Any]


def restated(type: str, where: Where, change: Callable[[Statement], Statement | None]) -> Operator:
    """Change or remove (None) statements of policies."""

    def changed(text: str) -> str:
        document = json.loads(text)
        found = (change(one) for one in document["Statement"])
        return json.dumps({**document, "Statement": [one for one in found if one is not None]})

    return put(type, "policy", changed, where)


def while_restoring(**changes: Any) -> Operator:
    """Change the statement that lets machines read the keys; a value of None removes the element."""

    def change(one: Statement) -> Statement:
        if "ResourceTag" not in str(one.get("Condition")):
            return one
        return {key: value for key, value in {**one, **changes}.items() if value is not None}

    return restated(ROLE_POLICY, MACHINES, change)


def allowing(type: str, where: Where, *actions: str, condition: dict[str, Any] | None = None) -> Operator:
    """Also allow actions on the secret with the read-only keys."""

    def change(graph: Graph, policy: Resource) -> Resource | None:
        arn = next(one.properties["arn"] for one in graph.of(SECRET) if READERS_SECRET(one))
        more = {"Effect": "Allow", "Action": list(actions), "Resource": arn}
        added = {**more, "Condition": condition} if condition else more

        def with_more(text: str) -> str:
            document = json.loads(text)
            return json.dumps({**document, "Statement": [*document["Statement"], added]})

        return assigned(policy, "policy", with_more)

    return each(type, where, change)


def also(*actions: str) -> Operator:
    """Let the readers in S3 also do this with objects."""
    return restated(
        USER_POLICY,
        READER,
        lambda one: {**one, "Action": ["s3:GetObject", *actions]} if one["Action"] == "s3:GetObject" else one,
    )


def without(action: str) -> Operator:
    """Do not allow an action to the readers in S3."""
    return restated(USER_POLICY, READER, lambda one: None if one["Action"] == action else one)


def holding(type: str, where: Where) -> Operator:
    """Put another credential into the secret with the read-only keys."""

    def change(graph: Graph, version: Resource) -> Resource | None:
        more = tuple(one.urn for one in graph.of(type) if where(one))
        known = version.property_dependencies.get("secretString", ())
        return revised(
            version, property_dependencies={**version.property_dependencies, "secretString": (*known, *more)}
        )

    return each(SECRET_VERSION, READERS_SECRET, change)


def automation(change: Callable[[dict[str, Any]], None]) -> Operator:
    """Change the automation's content."""

    def changed(text: str) -> str:
        document = json.loads(text)
        change(document)
        return json.dumps(document)

    return put(DOCUMENT, "content", changed)


def step(index: int, **changes: Any) -> Operator:
    """Change a step of the automation; a value of None removes the key."""

    def change(document: dict[str, Any]) -> None:
        one = document["mainSteps"][index]
        one.update(changes)
        for key in [key for key, value in changes.items() if value is None]:
            del one[key]

    return automation(change)


def inputs(index: int, **changes: Any) -> Operator:
    """Change inputs of a step of the automation."""
    return automation(lambda document: document["mainSteps"][index]["inputs"].update(changes))


def parameters(**changes: Any) -> Operator:
    """Change the parameters of the rehearsal's command."""
    return automation(lambda document: document["mainSteps"][1]["inputs"]["Parameters"].update(changes))


WEAKENINGS: Weakenings = {
    "readers-can-only-read": {
        "a reader also writes": also("s3:PutObject"),
        "a reader also deletes": also("s3:DeleteObject"),
        "a reader does everything": also("s3:*"),
        "a reader reads every bucket": substitute(
            USER_POLICY, "policy", '"arn:aws:s3:::backbuild-prod-backups-offsite/*"', '"*"', READER
        ),
        "a reader is an administrator": declare(
            "aws:iam/userPolicyAttachment:UserPolicyAttachment", user=USER_NAME, policyArn=ADMINISTRATOR
        ),
        "a reader's token writes": put(TOKEN, GROUPS, [{"id": WRITE}], READER),
        "a reader's token also writes": put(TOKEN, GROUPS, lambda groups: [*groups, {"id": WRITE}], READER),
        "a reader's token changes the bucket": put(TOKEN, GROUPS, [{"id": CONFIGURE}], READER),
        "a reader's token reads all buckets": put(TOKEN, BUCKETS, '{"com.cloudflare.api.account.*": "*"}', READER),
        "a reader's token reads two copies": put(
            TOKEN,
            BUCKETS,
            json.dumps(dict.fromkeys(BOTH, "*")),
            READER,
        ),
        "the writer's key is in the secret": holding(ACCESS_KEY, ending("-writer")),
        "the machines' token is in the secret": holding(TOKEN, ending("vault-machines")),
    },
    "every-copy-can-be-restored": {
        "a reader's token is not declared": drop(TOKEN, READER),
        "a reader's access key is not declared": drop(ACCESS_KEY, READER),
        "a reader's policy is not declared": drop(USER_POLICY, READER),
        "a reader's key is inactive": put(ACCESS_KEY, "status", "Inactive", READER),
        "a reader's token is disabled": put(TOKEN, "status", "disabled", READER),
        "a reader's token expires": put(TOKEN, "expiresOn", "2026-12-01T00:00:00Z", READER),
        "a reader's token has no permission": put(TOKEN, GROUPS, [], READER),
        "a reader's token is for another jurisdiction": put(
            TOKEN, BUCKETS, lambda text: text.replace("_eu_", "_fedramp_").replace("_us_", "_fedramp_"), READER
        ),
        "a reader may not list": without("s3:ListBucket"),
        "a reader may not decrypt": without("kms:Decrypt"),
        "a reader may read from one address only": restated(
            USER_POLICY, READER, lambda one: {**one, "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.1/32"}}}
        ),
        "the secret has no key of AWS": unlink(SECRET_VERSION, ACCESS_KEY, READERS_SECRET),
        "the secret has no token": unlink(SECRET_VERSION, TOKEN, READERS_SECRET),
        "the secret has no value": drop(SECRET_VERSION, READERS_SECRET),
    },
    "readers-open-for-restores-only": {
        "machines read the keys always": while_restoring(Condition=None),
        "machines read the keys with any tag": while_restoring(
            Condition={"StringLike": {"secretsmanager:ResourceTag/Restoring": "*"}}
        ),
        "machines read the keys without the tag": while_restoring(
            Condition={"StringEqualsIfExists": {"secretsmanager:ResourceTag/Restoring": "true"}}
        ),
        "another tag opens the keys": while_restoring(
            Condition={"StringEquals": {"secretsmanager:ResourceTag/Stack": "prod"}}
        ),
        "machines never read the keys": restated(
            ROLE_POLICY, MACHINES, lambda one: None if "ResourceTag" in str(one.get("Condition")) else one
        ),
        "machines read every secret": while_restoring(Resource="*", Condition=None),
        "machines read all secrets of the platform": while_restoring(
            Resource="arn:aws:secretsmanager:eu-central-1:123456789012:secret:backbuild-prod/*", Condition=None
        ),
        "gateways read the keys": allowing(ROLE_POLICY, ending("access-gateway"), GET),
        "etcd's machines read the keys while others restore": allowing(
            ROLE_POLICY,
            ending("access-consensus"),
            GET,
            condition={"StringEquals": {"secretsmanager:ResourceTag/Restoring": "true"}},
        ),
        "the writer reads the keys": allowing(USER_POLICY, ending("-writer"), GET),
        "the drill's role reads the keys": allowing(ROLE_POLICY, AUTOMATION, "secretsmanager:*"),
        "machines open the secret themselves": allowing(ROLE_POLICY, MACHINES, "secretsmanager:TagResource"),
        "machines do everything with the secret's tags": allowing(ROLE_POLICY, MACHINES, "secretsmanager:*Tag*"),
        "the secret has the tag": put(SECRET, "tagsAll", {"Restoring": "true"}, READERS_SECRET),
        "the secret has the tag in lower case": put(SECRET, "tags", {"restoring": "true"}, READERS_SECRET),
        "another account reads the keys": declare(
            SECRET_POLICY,
            secretArn="access-backup-readers",
            policy=json.dumps(
                {"Statement": [{"Effect": "Allow", "Action": GET, "Resource": "*", "Principal": {"AWS": STRANGER}}]}
            ),
        ),
        "machines fetch the keys at boot": edit(
            ENVIRONMENT, r'^SECRETS="$', f'SECRETS="\n{READERS_NAME} readers root', DATABASE
        ),
        "machines fetch the keys first at boot": edit(
            ENVIRONMENT, r'^SECRETS="$', f'SECRETS="{READERS_NAME} readers root', DATABASE
        ),
        "the secret has another name": put(SECRET, "name", "elsewhere", READERS_SECRET),
    },
    "restore-drill-is-scheduled": {
        "the drill is not declared": drop(DOCUMENT),
        "the drill is not started": drop(EVENT_TARGET, OF_DRILL),
        "the drill has no schedule": drop(EVENT_RULE, OF_DRILL),
        "the drill is quarterly": put(EVENT_RULE, "scheduleExpression", "cron(0 8 2 1/3 ? *)", OF_DRILL),
        "the drill is yearly": put(EVENT_RULE, "scheduleExpression", "cron(0 8 2 1 ? *)", OF_DRILL),
        "the drill is on the 31st": put(EVENT_RULE, "scheduleExpression", "cron(0 8 31 * ? *)", OF_DRILL),
        "the drill waits for an event": put(EVENT_RULE, "scheduleExpression", ABSENT, OF_DRILL),
        "the drill's schedule is on a bus without schedules": put(EVENT_RULE, "eventBusName", "backbuild", OF_DRILL),
        "the drill is disabled": put(EVENT_RULE, "state", "DISABLED", OF_DRILL),
        "the schedule starts another version": substitute(EVENT_TARGET, "arn", "$DEFAULT", "1", OF_DRILL),
        "the schedule starts another document": substitute(EVENT_TARGET, "arn", "restore-drill", "other", OF_DRILL),
        "the target belongs to another rule": put(EVENT_TARGET, "rule", "backbuild-prod-gate-failed", OF_DRILL),
        "EventBridge has no role": put(EVENT_TARGET, "roleArn", ABSENT, OF_DRILL),
        "EventBridge has the automation's role": substitute(
            EVENT_TARGET, "roleArn", "restore-start", "restore-drill", OF_DRILL
        ),
        "EventBridge may not start it": substitute(ROLE_POLICY, "policy", "StartAutomation", "StopAutomation", STARTER),
        "EventBridge may not pass the role": substitute(ROLE_POLICY, "policy", "iam:PassRole", "iam:GetRole", STARTER),
        "it is a command": put(DOCUMENT, "documentType", "Command"),
        **{
            f"the automation may not {action}": substitute(
                ROLE_POLICY, "policy", f'"{service}:{action}"', '"x:y"', AUTOMATION
            )
            for service, action in (
                ("secretsmanager", "TagResource"),
                ("secretsmanager", "UntagResource"),
                ("ssm", "SendCommand"),
                ("ssm", "ListCommandInvocations"),
            )
        },
        "the automation's role is of another stack": automation(lambda document: document.update(assumeRole="other")),
        "it does not rehearse": automation(lambda document: document["mainSteps"].pop(1)),
        "it does not open the secret": automation(lambda document: document["mainSteps"].pop(0)),
        "it does not close the secret": automation(lambda document: document["mainSteps"].pop()),
        "it closes the secret first": automation(lambda document: document["mainSteps"].reverse()),
        "it opens another secret": inputs(0, SecretId="other"),
        "it closes another secret": inputs(2, SecretId="other"),
        "it closes the secret with another tag": inputs(2, TagKeys=["Restored"]),
        "it only describes the secret at the end": inputs(2, Api="DescribeSecret"),
        "a failed rehearsal leaves the secret open": step(1, onFailure="Abort"),
        "a failed rehearsal leaves the secret open by default": step(1, onFailure=None),
        "a cancelled rehearsal leaves the secret open": step(1, onCancel="Abort"),
        "a failed request leaves the secret open": step(0, onFailure="Abort"),
        "a request that is cancelled leaves the secret open": step(0, onCancel=None),
        "the rehearsal is the last step": step(1, isEnd=True),
        "the rehearsal skips the last step": step(1, nextStep="tag"),
        "its failure is not critical": step(1, isCritical=False),
        "it echoes the command": parameters(commands=["echo /usr/local/sbin/backbuild-restore rehearse"]),
        "it hides a failure": parameters(commands=["/usr/local/sbin/backbuild-restore rehearse || true"]),
        "it only lists backups": parameters(commands=["/usr/local/sbin/backbuild-restore list"]),
        "it is cut off after a minute": parameters(executionTimeout=["60"]),
        "it ends before its command": step(1, timeoutSeconds=600),
        "coordinators do not rehearse": inputs(
            1,
            Targets=[
                {"Key": "tag:Platform", "Values": ["backbuild-prod"]},
                {"Key": "tag:Role", "Values": ["worker"]},
            ],
        ),
        "one machine rehearses": inputs(1, Targets=[{"Key": "tag:Name", "Values": ["backbuild-prod-coordinator-0"]}]),
        "machines of other platforms rehearse": inputs(1, Targets=[{"Key": "tag:Role", "Values": ["none"]}]),
        "gateways rehearse": inputs(1, Targets=[{"Key": "tag:Platform", "Values": ["backbuild-prod"]}]),
        "one failure stops the others": inputs(1, MaxErrors="0"),
        "one machine after the other rehearses": inputs(1, MaxConcurrency="1"),
        "it runs another document": inputs(1, DocumentName="AWS-RunPatchBaseline"),
    },
    "failed-restore-drill-alarm": {
        "a failed drill sends no event": chain(drop(EVENT_RULE, OF_ALARM), drop(EVENT_TARGET, OF_ALARM)),
        "the alarm on the drill is disabled": put(EVENT_RULE, "state", "DISABLED", OF_ALARM),
        "the alarm is on drills that succeeded": substitute(EVENT_RULE, "eventPattern", "Failed", "Success", OF_ALARM),
        "no alarm on a drill that times out": substitute(EVENT_RULE, "eventPattern", '"TimedOut"', '"x"', OF_ALARM),
        "the alarm is on another drill": substitute(EVENT_RULE, "eventPattern", "restore-drill", "other", OF_ALARM),
        "the alarm is on steps": substitute(EVENT_RULE, "eventPattern", "Execution", "Step", OF_ALARM),
        "the alarm is on drills without a start only": put(
            EVENT_RULE,
            "eventPattern",
            lambda text: text.replace('"Definition"', '"StartTime": [null], "Definition"'),
            OF_ALARM,
        ),
        "the drill's alarm is on a bus without events of AWS": put(EVENT_RULE, "eventBusName", "backbuild", OF_ALARM),
        "the drill's alarm tells nobody": put(EVENT_TARGET, "rule", "backbuild-prod-gate-failed", OF_ALARM),
    },
}
