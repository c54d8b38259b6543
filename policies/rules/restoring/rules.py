"""Retention: machines can restore from every copy, read the keys for it only then, and rehearse it every month."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from policies.controls import ACCESS, RECOVERY, TESTING
from policies.graph import Graph, Resource, Undetermined
from policies.promises import number
from policies.rule import Severity, define
from policies.views.calendars import window_gap_days
from policies.views.events import EVENT_RULE, EVENT_TARGET, enabled, unreported
from policies.views.machines import DATABASE, ENVIRONMENT, Machine, database_machines, machines
from policies.views.permissions import ROLE
from policies.views.restoring import (
    DOCUMENT,
    TAG,
    Automation,
    Reader,
    automations,
    copies_read,
    reader_secrets,
    readers,
    reading,
    rights_of,
)
from policies.views.rights.attachments import INSTANCE_PROFILE
from policies.views.rights.principal import Right
from policies.views.rights.principals import principals
from policies.views.rights.texts import label_of, without_partition
from policies.views.shared import stack
from policies.views.vault import Copy, copies

GET = "secretsmanager:getsecretvalue"
TAGGING = ("secretsmanager:tagresource", "secretsmanager:untagresource")
WHILE_RESTORING = f"StringEquals secretsmanager:ResourceTag/{TAG} true"
REHEARSE = "/usr/local/sbin/backbuild-restore rehearse"
COMMANDS = "AWS-RunShellScript"
DRILL_EVENT = "EC2 Automation Execution Status-change Notification"
DRILL_FAILURES = ("Failed", "TimedOut", "Cancelled")
# A restore within the recovery time must not be cut off in a rehearsal.
LEAST_SECONDS = 4 * 3600
# Keys that a step may have: any other may skip a step, end the automation early, or hide a failure.
OPENING = {"name", "action", "nextStep", "onFailure", "onCancel", "inputs"}
RUNNING = OPENING | {"timeoutSeconds"}
CLOSING = {"name", "action", "isEnd", "maxAttempts", "inputs"}
SENT = {"DocumentName", "Targets", "Parameters", "MaxConcurrency", "MaxErrors", "TimeoutSeconds"}


@define(
    "retention",
    "readers-can-only-read",
    Severity.CRITICAL,
    "Each key with which machines restore can only read, and only one copy",
    over=readers,
    promises=("BAK-3", "BAK-5"),
    controls=ACCESS,
    remedy="restore the readers' permissions (components/vault.py, components/offsite.py)",
)
def readers_only_read(graph: Graph, reader: Reader) -> str | None:
    """All keys are in one secret. If it leaks while a machine restores, no copy must be writable with it."""
    rights = rights_of(graph, reader)
    for right in rights:
        if not any(_is(right, needed) for copy in copies(graph) for needed in reading(graph, copy)):
            return f"{reader.principal.label} may do {right.text}, which reading a copy does not need"
    found = copies_read(graph, rights)
    if len(found) > 1:
        return f"{reader.principal.label} reads {' and '.join(copy.label for copy in found)}; one is expected"
    return None


@define(
    "retention",
    "every-copy-can-be-restored",
    Severity.HIGH,
    "The secret for restores has a key that reads each copy",
    over=copies,
    promises=("BAK-5", "REC-5"),
    controls=RECOVERY,
    remedy="restore the copy's reader, and its key in the secret backups/readers (components/platform.py)",
)
def every_copy_restorable(graph: Graph, copy: Copy) -> str | None:
    """If only one copy is intact, and its key is missing, somebody must first find or create a key."""
    wrong: list[str] = []
    unknown: list[Undetermined] = []
    for reader in readers(graph):
        # Another reader may decide, whatever the order of the resources.
        try:
            reason = _cannot_read(graph, reader, copy)
        except Undetermined as error:
            unknown.append(error)
            continue
        if reason is None:
            return None
        wrong += [reason] if reason else []
    if unknown:
        raise min(unknown, key=str)
    return "; ".join(wrong) or "no key in the secret reads it"


def _cannot_read(graph: Graph, reader: Reader, copy: Copy) -> str | None:
    """Return why a key cannot read a copy that it is for; None if it can, an empty text if it is for another copy."""
    rights = rights_of(graph, reader)
    if copy not in copies_read(graph, rights):
        return ""
    missing = [one for one in reading(graph, copy) if not any(_is(right, one) for right in rights)]
    if missing:
        what = ", ".join(f"{action} on {resource}" for action, resource in sorted(missing))
        return f"{reader.label} may not do {what}"
    return None if reader.credential.text("status") in {"", "Active", "active"} else f"{reader.label} is not active"


def _is(right: Right, needed: tuple[str, str]) -> bool:
    """Whether a right is exactly an action on a resource, without a condition."""
    return (right.action.lower(), right.resource) == needed and not right.condition


@define(
    "retention",
    "readers-open-for-restores-only",
    Severity.CRITICAL,
    "Only database machines may read the keys of all copies, and only while they restore",
    over=reader_secrets,
    promises=("BAK-3",),
    controls=ACCESS,
    remedy="restore the condition on the secret's tag (components/machine_access.py); declare no tag of this name",
)
def readers_open_for_restores(graph: Graph, secret: Resource) -> str | None:
    """A machine that is broken into between two restores must not give access to the other copies.

    AWS assigns the ARNs that policies name: a first preview cannot judge this rule.
    """
    for path in ("tags", "tagsAll"):
        declared = secret.read(path)
        if isinstance(declared, dict) and any(key.lower() == TAG.lower() for key in declared):
            return f"its {path} contain {TAG}, which opens it for good; only a restore may set this tag"
    # A line of SECRETS begins with the name. The restore command also reads the name there, from a variable of its own.
    fetched = re.compile(rf'^(?:SECRETS=")?{re.escape(secret.text("name"))}\s', re.MULTILINE)
    booted = next((one for one in machines(graph) if fetched.search(one.file(ENVIRONMENT))), None)
    if booted is not None:
        return f"{booted.label} fetches it at each boot ({ENVIRONMENT})"
    return _read_by_others(graph, secret)


def _read_by_others(graph: Graph, secret: Resource) -> str | None:
    expected = {role.label for machine in database_machines(graph) for role in _roles(graph, machine)}
    opened: set[str] = set()
    for principal in principals(graph).values():
        about = [right for right in principal.rights if _covers(right, secret)]
        reads = [right for right in about if fnmatchcase(GET, right.action.lower())]
        for right in reads:
            if principal.label not in expected:
                return f"{principal.label} may read it ({right.text}); only {_list(expected)} may"
            if right.condition != WHILE_RESTORING:
                return f"{principal.label} may do {right.text}; the condition {WHILE_RESTORING} is expected"
            opened.add(principal.label)
        tags = [right for right in about if any(fnmatchcase(one, right.action.lower()) for one in TAGGING)]
        if principal.label in expected and tags:
            return f"{principal.label} may open it itself ({tags[0].text})"
    for unknown in (one for principal in principals(graph).values() for one in principal.unclear):
        raise unknown
    missing = expected - opened
    return f"{_list(missing)} may not read it, so these machines cannot restore" if missing else None


def _covers(right: Right, secret: Resource) -> bool:
    """Whether a right may be about a secret: by its label, or by a pattern that its ARN matches."""
    if right.resource.startswith(secret.label):
        return True
    return "*" in right.resource and fnmatchcase(without_partition(secret.text("arn")), right.resource)


def _roles(graph: Graph, machine: Machine) -> Iterator[Resource]:
    for profile in graph.targets(machine.instance, "iamInstanceProfile", INSTANCE_PROFILE):
        yield from graph.targets(profile, "role", ROLE)


def _list(labels: set[str]) -> str:
    return ", ".join(sorted(labels)) or "no role"


# -- the restore drill


@define(
    "retention",
    "restore-drill-is-scheduled",
    Severity.HIGH,
    "Every database machine rehearses a restore each month, and the keys for it are closed again",
    over=stack,
    promises=("REC-5", "BAK-2"),
    controls=TESTING,
    remedy="restore the automation, its schedule and its roles (components/restore_drill.py)",
)
def restore_drill(graph: Graph, _: Resource) -> str | None:
    """Only a restore proves that a backup can be restored. If the keys stay open, every machine can read all copies.

    The automation contains ARNs that AWS assigns: a first preview cannot judge this rule.
    """
    found = {one.resource.label: _wrong(graph, one) for one in automations(graph)}
    if None in found.values():
        return None
    return (
        "; ".join(f"{label}: {wrong}" for label, wrong in sorted(found.items())) or "no automation rehearses a restore"
    )


def _wrong(graph: Graph, automation: Automation) -> str | None:
    """Return what is wrong with the automation, its start or its permissions."""
    steps = automation.steps
    if len(steps) != 3:
        return f"it has {len(steps)} steps; three are expected: they open the secret, rehearse, and close the secret"
    return (
        _order(steps)
        or _secret(graph, steps[0], "TagResource", {"Tags": [{"Key": TAG, "Value": "true"}]})
        or _rehearsal(graph, steps[1])
        or _secret(graph, steps[2], "UntagResource", {"TagKeys": [TAG]})
        or _start(graph, automation)
        or _permitted(graph, automation)
    )


def _order(steps: list[dict[str, Any]]) -> str | None:
    """Return how the last step may be skipped."""
    first, second, last = steps
    names = [str(step.get("name")) for step in steps]
    if len(set(names)) < len(names):
        return f"two steps have one name: {', '.join(names)}"
    for step, following, known in ((first, names[1], OPENING), (second, names[2], RUNNING)):
        if unknown := sorted(step.keys() - known):
            return f"the step {step['name']} has {', '.join(unknown)}, which this rule cannot judge"
        if step.get("nextStep") != following:
            return f"the step {step['name']} continues with {step.get('nextStep')}; {following} is expected"
        for end in ("onFailure", "onCancel"):
            if step.get(end) != f"step:{names[2]}":
                return f"the step {step['name']} has {end} {step.get(end)}: the secret stays open"
    if unknown := sorted(last.keys() - CLOSING):
        return f"the step {last['name']} has {', '.join(unknown)}, which this rule cannot judge"
    return None if last.get("isEnd") is True else f"the step {last['name']} is not the last one (isEnd)"


def _secret(graph: Graph, step: dict[str, Any], api: str, given: dict[str, Any]) -> str | None:
    """Return what is wrong with a step that opens or closes the secret."""
    inputs = dict(step.get("inputs") or {})
    about = label_of(graph, str(inputs.pop("SecretId", "")))
    if about not in {secret.label for secret in reader_secrets(graph)}:
        return f"the step {step['name']} is about {about or 'no secret'}, not about the secret with the read-only keys"
    expected = {"Service": "secretsmanager", "Api": api, **given}
    if step.get("action") != "aws:executeAwsApi" or inputs != expected:
        return f"the step {step['name']} does not call {api} with exactly {given}"
    return None


def _rehearsal(graph: Graph, step: dict[str, Any]) -> str | None:
    """Return what is wrong with the step that rehearses a restore."""
    inputs: dict[str, Any] = step.get("inputs") or {}
    parameters: dict[str, Any] = inputs.get("Parameters") or {}
    if step.get("action") != "aws:runCommand" or inputs.get("DocumentName") != COMMANDS:
        return f"the step {step['name']} does not run commands with {COMMANDS}"
    if unknown := sorted((inputs.keys() - SENT) | (parameters.keys() - {"commands", "executionTimeout"})):
        return f"the step {step['name']} sets {', '.join(unknown)}, which this rule cannot judge"
    if parameters.get("commands") != [REHEARSE]:
        return f"the step {step['name']} runs {parameters.get('commands')}; {REHEARSE} is expected"
    for limit in ("MaxConcurrency", "MaxErrors"):
        if inputs.get(limit) != "100%":
            return f"the step {step['name']} has {limit} {inputs.get(limit)}; 100% is expected, for every machine"
    return _cut_off(step) or _untested(graph, inputs.get("Targets") or [])


def _cut_off(step: dict[str, Any]) -> str | None:
    """Return how a rehearsal is cut off before its end."""
    inputs: dict[str, Any] = step["inputs"]
    (seconds,) = (int(one) for one in inputs["Parameters"]["executionTimeout"])
    if seconds < LEAST_SECONDS:
        return f"a rehearsal is cut off after {seconds} s; {LEAST_SECONDS} at least are expected"
    if int(step.get("timeoutSeconds") or 0) < seconds + int(inputs.get("TimeoutSeconds") or 0):
        return f"the step {step['name']} ends (timeoutSeconds) before its command: machines read a closed secret"
    return None


def _untested(graph: Graph, targets: list[dict[str, Any]]) -> str | None:
    """Return which machines the targets select wrongly. All targets must match, as for SSM."""
    if not targets or any(not str(one.get("Key")).startswith("tag:") for one in targets):
        return "its targets are not tags"
    for machine in machines(graph):
        chosen = all(
            machine.instance.text(f"tags.{str(one['Key']).removeprefix('tag:')}") in one.get("Values", [])
            for one in targets
        )
        if chosen != (machine.role in DATABASE):
            return f"its targets {'include' if chosen else 'leave out'} {machine.label}"
    return None


def _start(graph: Graph, automation: Automation) -> str | None:
    """Return why the automation is not started often enough."""
    most = number("REC-5", "drill_days")
    wrong: list[str] = []
    for target in graph.of(EVENT_TARGET):
        if target.text("arn") == automation.definition:
            for rule in graph.targets(target, "rule", EVENT_RULE):
                gap = window_gap_days(rule.text("scheduleExpression"))
                if not enabled(rule):
                    wrong.append(f"{rule.label} is not enabled, or not on the default bus")
                elif gap is None or gap > most:
                    schedule = rule.text("scheduleExpression") or "no schedule"
                    wrong.append(f"{rule.label} has {schedule}; {most:g} days at most between two runs are expected")
                else:
                    return _may_start(graph, automation, target)
    return "; ".join(wrong) or "no EventBridge rule starts it"


def _may_start(graph: Graph, automation: Automation, target: Resource) -> str | None:
    """Return why EventBridge may not start the automation."""
    starter, role = graph.target(target, "roleArn", ROLE), label_of(graph, str(automation.content.get("assumeRole")))
    if starter is None:
        return f"{target.label} has no role of this stack"
    rights = principals(graph)[starter.label].rights
    for action, resource in (
        ("ssm:startautomationexecution", f"*:automation-definition/{automation.resource.text('name')}:$DEFAULT"),
        ("iam:passrole", role),
    ):
        if not any(right.action.lower() == action and fnmatchcase(right.resource, resource) for right in rights):
            return f"{starter.label} may not {action} on {resource}"
    return None


def _permitted(graph: Graph, automation: Automation) -> str | None:
    """Return what the automation's role may not do; `principals-have-what-they-need-only` judges the rest."""
    role = label_of(graph, str(automation.content.get("assumeRole")))
    if role not in {one.label for one in graph.of(ROLE)}:
        return f"it assumes {role}, which is no role of this stack"
    principal = principals(graph)[role]
    for unknown in principal.unclear:
        raise unknown
    secret = next((one.label for one in reader_secrets(graph)), "")
    have = [(right.action.lower(), right.resource) for right in principal.rights]
    for action, resource in (
        *((action, secret) for action in TAGGING),
        ("ssm:sendcommand", f"arn:aws:ssm:*:document/{COMMANDS}"),
        ("ssm:sendcommand", "arn:aws:ec2:*:instance/*"),
        ("ssm:listcommands", "*"),
        ("ssm:listcommandinvocations", "*"),
    ):
        if not any(one == action and fnmatchcase(to, resource) for one, to in have):
            return f"{role} may not {action} on {resource}"
    return None


@define(
    "retention",
    "failed-restore-drill-alarm",
    Severity.HIGH,
    "Operators are notified if the monthly rehearsal of a restore fails or leaves the keys readable",
    over=stack,
    promises=("REC-5", "BAK-3"),
    controls=TESTING,
    remedy="keep the EventBridge rule for the failed restore drill (components/alarms.py)",
)
def failed_drill_alarm(graph: Graph, _: Resource) -> str | None:
    """If its last step fails, machines can go on reading the keys of every copy."""
    drills = [one.text("name") for one in graph.of(DOCUMENT) if one.text("documentType") == "Automation"]
    missed = (unreported(graph, DRILL_EVENT, "Status", DRILL_FAILURES, {"Definition": one}) for one in drills)
    return next(
        (wrong for wrong in missed if wrong is not None), None if drills else "no automation rehearses a restore"
    )
