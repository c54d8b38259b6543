"""Every configuration that must not reach a cloud: refused with its key and what is allowed, all of it at once."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.stacks import REMOVED, problems_of, settings_of, texts
from model.configuration import STATUS_COMPONENTS, ConfigurationError, load
from model.settings import Tier
from model.worker_modules import WORKERS

FOREIGN = {
    "name": "archive",
    "kind": "s3",
    "region": "nord-1",
    "endpoint": "https://s3.example.net",
    "bucket": "backbuild-backups",
    "accessKeyId": "AKIDEXAMPLE",
    "secretAccessKey": "a-secret-that-no-error-shows",
}
"""A copy in another S3-compatible store."""

# Name: (stack, changed settings, expected key of the problem, expected part of its message)
BAD: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "unknown key": ("prod", {"domian": "backbuild.ai"}, "domian", "domain, drills, edge, mail, maintenance"),
    "unknown nested key": (
        "prod",
        {"database.workers.memebers": 3},
        "database.workers.memebers",
        "allowed: groups, instanceType, members, volumeGib",
    ),
    "key in the wrong case": ("prod", {"edge.account_id": "0" * 32}, "edge.account_id", "allowed: accountId"),
    "text for a number": ("prod", {"database.workers.groups": "two"}, "database.workers.groups", "valid integer"),
    "number as text": ("prod", {"database.workers.groups": "2"}, "database.workers.groups", "valid integer"),
    "fraction": ("prod", {"database.coordinator.volumeGib": 9.5}, "database.coordinator.volumeGib", "integer"),
    "text for a boolean": ("prod", {"protect": "certainly"}, "protect", "valid boolean"),
    "text for a section": ("prod", {"database": "large"}, "database", "given: 'large'"),
    "list for a mapping": ("prod", {"tags": ["owner"]}, "tags", "should be an object"),
    "number for a domain": ("prod", {"domain": 7}, "domain", "a domain such as example.com"),
    "unknown tier": ("prod", {"tier": "gold"}, "tier", "'production' or 'staging'"),
    "one zone": ("prod", {"database.zones": ["eu-central-1a"]}, "database.zones", "exactly three different zones"),
    "no zone": ("prod", {"database.zones": []}, "database.zones", "given: none"),
    "a zone twice": (
        "prod",
        {"database.zones": ["eu-central-1a", "eu-central-1b", "eu-central-1a"]},
        "database.zones",
        "exactly three different zones",
    ),
    "zone of another region": (
        "prod",
        {"database.zones": ["eu-central-1a", "eu-west-1b", "eu-central-1c"]},
        "database.zones[1]",
        "allowed: eu-central-1a, eu-central-1b",
    ),
    "region for a zone": (
        "prod",
        {"database.zones": ["eu-central-1a", "eu-central-1b", "eu-central-1"]},
        "database.zones[2]",
        "eu-central-1 is not a zone of eu-central-1",
    ),
    "zone inside a city": (
        "prod",
        {"database.zones": ["eu-central-1-ham-1a", "eu-central-1a", "eu-central-1b"]},
        "database.zones[0]",
        "is not a zone of eu-central-1",
    ),
    "region in China": (
        "prod",
        {"database.region": "cn-north-1"},
        "database.region",
        "cn-north-1 is in the partition aws-cn, which has another DNS suffix",
    ),
    "isolated region": ("prod", {"database.region": "us-iso-east-1"}, "database.region", "no internet access"),
    "off-site in China": (
        "prod",
        {"backups.copies.2.region": "cn-northwest-1"},
        "backups.copies[2].region",
        "allowed: a commercial or GovCloud (US) region",
    ),
    "off-site in another partition": (
        "prod",
        {"backups.copies.2.region": "us-gov-east-1"},
        "backups.copies[2].region",
        "allowed: another region of aws",
    ),
    "off-site role in another partition": (
        "prod",
        {"backups.copies.2.roleArn": "arn:aws-us-gov:iam::210987654321:role/offsite"},
        "backups.copies[2].roleArn",
        "allowed: arn:aws:iam::",
    ),
    "off-site role in China": (
        "prod",
        {"backups.copies.2.roleArn": "arn:aws-cn:iam::210987654321:role/offsite"},
        "backups.copies[2].roleArn",
        "the ARN of an IAM role",
    ),
    "image pipeline without a base image": (
        "prod",
        {"database.imagePipeline": {"schedule": "weekly"}},
        "database.imagePipeline.baseImage",
        "is missing, so no image would be built",
    ),
    "image pipeline with a parameter as its base": (
        "prod",
        {"database.imagePipeline.baseImage": "ssm:/debian/latest"},
        "database.imagePipeline.baseImage",
        "allowed: the id of a Debian 13 image in the region, ami-…",
    ),
    "image pipeline with another schedule": (
        "prod",
        {"database.imagePipeline.schedule": "daily"},
        "database.imagePipeline.schedule",
        "manual",
    ),
    "image pipeline with an unknown key": (
        "prod",
        {"database.imagePipeline.image": "ami-01234567"},
        "database.imagePipeline.image",
        "allowed: baseImage, instanceType, schedule",
    ),
    "data on a Xen type": (
        "prod",
        {"database.coordinator.instanceType": "i3.large"},
        "database.coordinator.instanceType",
        "i3.large is built on Xen",
    ),
    "consensus on a Xen type": (
        "prod",
        {"database.consensus.instanceType": "t2.micro"},
        "database.consensus.instanceType",
        "allowed: a type built on the Nitro System",
    ),
    "tag that the metadata service cannot show": (
        "prod",
        {"tags": {"cost/centre": "42"}},
        "tags.cost/centre.[key]",
        "a to z, digits",
    ),
    "even etcd count": ("prod", {"database.consensus.members": 4}, "database.consensus.members", "3, 5 or 7"),
    "one etcd": ("staging", {"database.consensus.members": 1}, "database.consensus.members", "equal to 3"),
    "nine etcds": ("staging", {"database.consensus.members": 9}, "database.consensus.members", "equal to 7"),
    "coordinator alone": ("staging", {"database.coordinator.members": 1}, "database.coordinator.members", "equal to 2"),
    "workers alone": ("staging", {"database.workers.members": 1}, "database.workers.members", "equal to 2"),
    "gateway alone": ("staging", {"database.gateways.members": 1}, "database.gateways.members", "equal to 2"),
    "four coordinators": ("prod", {"database.coordinator.members": 4}, "database.coordinator.members", "equal to 3"),
    "two coordinators in production": (
        "prod",
        {"database.coordinator.members": 2},
        "database.coordinator.members",
        "allowed in production: 3",
    ),
    "workers in twos in production": (
        "prod",
        {"database.workers.members": 2},
        "database.workers.members",
        "allowed in production: 3",
    ),
    "no worker group": ("prod", {"database.workers.groups": 0}, "database.workers.groups", "equal to 1"),
    "65 worker groups": ("prod", {"database.workers.groups": 65}, "database.workers.groups", "equal to 64"),
    "volume too small": ("prod", {"database.workers.volumeGib": 7}, "database.workers.volumeGib", "equal to 8"),
    "volume too large": ("prod", {"database.workers.volumeGib": 16385}, "database.workers.volumeGib", "equal to 16384"),
    "no instance type": ("prod", {"database.workers.instanceType": "big"}, "database.workers.instanceType", "r7g"),
    "no image": ("prod", {"database.image": "debian-13"}, "database.image", "ami-"),
    "network too small": ("prod", {"database.network": "10.20.0.0/19"}, "database.network", "/16 to /18"),
    "network too large": ("prod", {"database.network": "10.0.0.0/8"}, "database.network", "/16 to /18"),
    "public network": ("prod", {"database.network": "8.8.0.0/16"}, "database.network", "private network"),
    "loopback network": ("prod", {"database.network": "127.0.0.0/16"}, "database.network", "private network"),
    "link-local network": ("prod", {"database.network": "169.254.0.0/16"}, "database.network", "private network"),
    "network with a host": ("prod", {"database.network": "10.20.1.0/16"}, "database.network", "such as 10.20.0.0/16"),
    "no network": ("prod", {"database.network": "large"}, "database.network", "such as 10.20.0.0/16"),
    "retention shorter than the point-in-time window": (
        "prod",
        {"backups.pointInTimeDays": 8},
        "backups.rotation.hourlyDays",
        "allowed: 8 or more",
    ),
    "no full backup always kept": (
        "prod",
        {"backups.rotation.minimumFulls": 0},
        "backups.rotation.minimumFulls",
        "equal to 1",
    ),
    "31 full backups always kept": (
        "prod",
        {"backups.rotation.minimumFulls": 31},
        "backups.rotation.minimumFulls",
        "equal to 30",
    ),
    "a former group that is present": (
        "prod",
        {"backups.formerGroups": ["worker-1"]},
        "backups.formerGroups",
        "remove it here",
    ),
    "a former group that cannot exist": (
        "prod",
        {"backups.formerGroups": ["worker-65"]},
        "backups.formerGroups[0]",
        "allowed: a Citus worker group",
    ),
    "a former group that is no worker group": (
        "prod",
        {"backups.formerGroups": ["coordinator"]},
        "backups.formerGroups[0]",
        "allowed: a Citus worker group",
    ),
    "a former group twice": (
        "prod",
        {"backups.formerGroups": ["worker-63", "worker-63"]},
        "backups.formerGroups",
        "each name once",
    ),
    "the API under the backups' name": (
        "prod",
        {"api.hostname": "backups"},
        "api.hostname",
        "allowed: any label but backups, database",
    ),
    "daily shorter than hourly": (
        "prod",
        {"backups.rotation.dailyDays": 6},
        "backups.rotation.dailyDays",
        "allowed: 8",
    ),
    "daily as long as hourly": ("prod", {"backups.rotation.dailyDays": 7}, "backups.rotation.dailyDays", "allowed: 8"),
    "monthly shorter than daily": (
        "prod",
        {"backups.rotation.monthlyMonths": 1},
        "backups.rotation.monthlyMonths",
        "allowed: 2 or more",
    ),
    "yearly shorter than monthly": (
        "prod",
        {"backups.rotation.yearlyYears": 1},
        "backups.rotation.yearlyYears",
        "allowed: 2 or more",
    ),
    "replica in the primary's jurisdiction": (
        "prod",
        {"backups.copies.1.jurisdiction": "eu"},
        "backups.copies[1].jurisdiction",
        "replica is in the same place as primary (R2, jurisdiction eu, backups.copies[0]); allowed: another",
    ),
    "location hint for a jurisdiction": (
        "prod",
        {"backups.copies.0.jurisdiction": "weur"},
        "backups.copies[0].jurisdiction",
        "'eu', 'us'",
    ),
    "off-site in the database's region": (
        "prod",
        {"backups.copies.2.region": "eu-central-1"},
        "backups.copies[2].region",
        "allowed: any region except eu-central-1",
    ),
    "two copies of one name": (
        "prod",
        {"backups.copies.1.name": "primary"},
        "backups.copies[1].name",
        "copies[0] has the name primary, too; allowed: a different name for each",
    ),
    "two copies in one region": (
        "prod",
        {"backups.copies.1": {"name": "second", "kind": "s3", "region": "eu-north-1"}},
        "backups.copies[2].region",
        "offsite is in the same place as second (AWS, region eu-north-1, backups.copies[1])",
    ),
    "unknown kind of copy": ("prod", {"backups.copies.2.kind": "tape"}, "backups.copies[2].kind", "'r2' or 's3'"),
    "unknown key of a copy": (
        "prod",
        {"backups.copies.2.reigon": "eu-north-1"},
        "backups.copies[2].reigon",
        "lockMode, name, readAccessKeyId, readSecretAccessKey, region, roleArn, secretAccessKey",
    ),
    "name of a copy with a hyphen": (
        "prod",
        {"backups.copies.2.name": "off-site"},
        "backups.copies[2].name",
        "1 to 11 lower-case letters and digits",
    ),
    "no primary": (
        "prod",
        {"backups.copies.0.name": "first"},
        "backups.copies",
        "no copy is named primary; add {name: primary, kind: r2, jurisdiction: …}",
    ),
    "primary in S3": (
        "prod",
        {"backups.copies.0.name": "first", "backups.copies.2.name": "primary"},
        "backups.copies[2].kind",
        "the copy named primary must be in R2; allowed: r2",
    ),
    "two copies": (
        "prod",
        {"backups.copies.1": REMOVED},
        "backups.copies",
        "2 copies, 1 of them of kind s3; allowed: 3 or more, at least one of kind s3",
    ),
    "all copies in R2": (
        "prod",
        {"backups.copies.2": {"name": "third", "kind": "r2", "jurisdiction": "fedramp"}},
        "backups.copies",
        "3 copies, 0 of them of kind s3; allowed: 3 or more, at least one of kind s3",
    ),
    "jurisdiction in S3": (
        "prod",
        {"backups.copies.2.jurisdiction": "us"},
        "backups.copies[2].jurisdiction",
        "is not a key of a copy of kind s3; allowed: kind, lockMode, name, region, roleArn",
    ),
    "R2 without a jurisdiction": (
        "prod",
        {"backups.copies.1.jurisdiction": REMOVED},
        "backups.copies[1].jurisdiction",
        "is missing; a copy of kind r2 needs it",
    ),
    "another store without keys": (
        "prod",
        {"backups.copies.2": {key: value for key, value in FOREIGN.items() if key != "secretAccessKey"}},
        "backups.copies[2].secretAccessKey",
        "is missing; a copy of kind s3 with an endpoint needs it",
    ),
    "tag of a restore": (
        "prod",
        {"tags": {"restoring": "true"}},
        "tags.restoring.[key]",
        "machines may read the keys of all backups while the tag restoring is set; allowed: another key",
    ),
    "half a key for restoring": (
        "prod",
        {"backups.copies.2": FOREIGN | {"readAccessKeyId": "AKIDREADER"}},
        "backups.copies[2].readSecretAccessKey",
        "is missing; set it, or remove readAccessKeyId: both are one key",
    ),
    "half a key for restoring, without its id": (
        "prod",
        {"backups.copies.2": FOREIGN | {"readSecretAccessKey": "secret"}},
        "backups.copies[2].readAccessKeyId",
        "is missing; set it, or remove readSecretAccessKey: both are one key",
    ),
    "a key for restoring from AWS": (
        "prod",
        {"backups.copies.2.readAccessKeyId": "AKIDREADER"},
        "backups.copies[2].readAccessKeyId",
        "is not a key of a copy of kind s3; allowed: kind, lockMode, name, region, roleArn",
    ),
    "AWS as another store": (
        "prod",
        {"backups.copies.2": FOREIGN | {"endpoint": "https://s3.eu-central-1.amazonaws.com"}},
        "backups.copies[2].endpoint",
        "Use kind s3 without an endpoint",
    ),
    "endpoint with a path": (
        "prod",
        {"backups.copies.2": FOREIGN | {"endpoint": "https://s3.example.net/bucket"}},
        "backups.copies[2].endpoint",
        "allowed: https:// and the store's host",
    ),
    "no role": ("prod", {"backups.copies.2.roleArn": "admin"}, "backups.copies[2].roleArn", "the ARN of an IAM role"),
    "no contact": ("prod", {"contact": REMOVED}, "contact", "set it in the stack's file"),
    "empty contact": ("prod", {"contact": ""}, "contact", "set it in the stack's file"),
    "bad contact": ("prod", {"contact": "security"}, "contact", "an e-mail address"),
    "no e-mail recipient": ("prod", {"alarms.emails": []}, "alarms.emails", "one or more"),
    "no webhook": ("prod", {"alarms.webhooks": []}, "alarms.webhooks", "one or more"),
    "e-mail recipient twice": (
        "prod",
        {"alarms.emails": ["a@b.io", "c@d.io", "A@B.io"]},
        "alarms.emails",
        "entries 1 and 3",
    ),
    "webhook twice": (
        "prod",
        {"alarms.webhooks": ["https://a.io/x", "https://A.io:443/x"]},
        "alarms.webhooks",
        "entries 1 and 2 are the same address; allowed: each address once",
    ),
    "bad address": ("prod", {"alarms.emails": ["a@b.io", "a b@c.io"]}, "alarms.emails[1]", "an e-mail address"),
    "webhook without TLS": ("prod", {"alarms.webhooks": ["http://a.io"]}, "alarms.webhooks[0]", "an https:// address"),
    "webhook with credentials": (
        "prod",
        {"alarms.webhooks": ["https://robot:hunter2@a.io/x"]},
        "alarms.webhooks[0]",
        "without credentials",
    ),
    "a target above everything": ("prod", {"uptime.targetPercent": 100.1}, "uptime.targetPercent", "equal to 100"),
    "a target too fine to count": ("prod", {"uptime.targetPercent": 99.9999}, "uptime.targetPercent", "such as 99.95"),
    "a credit for a month that meets the target": (
        "prod",
        {"uptime.targetPercent": 99.5},
        "uptime.credits[0].belowPercent",
        "at most 99.5",
    ),
    "credits that shrink": (
        "prod",
        {"uptime.credits": [{"belowPercent": 99.9, "creditPercent": 25}, {"belowPercent": 99, "creditPercent": 10}]},
        "uptime.credits[1]",
        "a lower limit with a higher credit",
    ),
    "an operator twice": ("prod", {"status.operators": ["ada", "ada"]}, "status.operators", "twice in ada, ada"),
    "a component that is there": (
        "prod",
        {"status.components": [{"id": "edge", "name": "Edge", "url": "https://a.io/"}]},
        "status.components[0].id",
        "allowed: any id but api, backups",
    ),
    "a component without TLS": (
        "prod",
        {"status.components": [{"id": "console", "name": "Console", "url": "http://a.io/"}]},
        "status.components[0].url",
        "an https:// address",
    ),
    "too many components": (
        "prod",
        {"status.components": [{"id": f"c{n}", "name": "C", "url": "https://a.io/"} for n in range(15)]},
        "status.components",
        "at most 14",
    ),
    "disk alarm too late": ("prod", {"alarms.diskUsedPercent": 96}, "alarms.diskUsedPercent", "equal to 95"),
    "partial rollout without a stable version": (
        "prod",
        {"api.rollout.percentage": 10},
        "api.rollout.stableVersion",
        "90 % of requests need it",
    ),
    "rollout of 0 percent": ("prod", {"api.rollout.percentage": 0}, "api.rollout.percentage", "equal to 1"),
    "no version": ("prod", {"api.rollout.stableVersion": "v1"}, "api.rollout.stableVersion", "a UUID"),
    "no script": ("prod", {"api.script": "none"}, "api.script", "there is no module none/index.js; allowed: a folder"),
    "script outside": ("prod", {"api.script": "../shop"}, "api.script", "outside the folder"),
    "script that is not a text": ("prod", {"api.script": 7}, "api.script", "valid string"),
    "status page in the domain": (
        "prod",
        {"statusDomain": "status.backbuild.ai"},
        "statusDomain",
        "allowed: a domain outside of it",
    ),
    "status page is the domain": ("prod", {"statusDomain": "backbuild.ai"}, "statusDomain", "a domain outside of it"),
    "unprotected production": ("prod", {"protect": False}, "protect", "allowed: true"),
    "no account": ("prod", {"edge.accountId": "mine"}, "edge.accountId", "32 hexadecimal digits"),
    "a whole section missing": ("prod", {"maintenance": {}}, "maintenance.weekday", "set it in the stack's file"),
    "no weekday": ("prod", {"maintenance.weekday": "Sunday"}, "maintenance.weekday", "'SUN'"),
    "invalid hour": ("prod", {"maintenance.startHourUtc": 24}, "maintenance.startHourUtc", "equal to 23"),
    "no notice": ("prod", {"maintenance.noticeHours": 23}, "maintenance.noticeHours", "equal to 24"),
}


@pytest.mark.parametrize(("stack", "changes", "key", "allowed"), BAD.values(), ids=BAD)
def test_invalid_input_is_refused_with_its_key_and_the_allowed_values(
    stack: str, changes: dict[str, Any], key: str, allowed: str
):
    lines = [str(problem) for problem in problems_of(stack, changes)]
    assert any(line.startswith(f"backbuild:{key}: ") and allowed in line for line in lines), lines


SINGLE = [name for name in BAD if name not in {"a whole section missing", "text for a section"}]


@pytest.mark.parametrize("name", SINGLE)
def test_one_mistake_is_one_problem(name: str):
    stack, changes, key, _ = BAD[name]
    found = [problem.key for problem in problems_of(stack, changes)]
    assert found == [key]


def test_all_mistakes_are_reported_at_once():
    """Errors of single fields are reported together with errors between the remaining valid fields."""
    names = (
        "unknown key",
        "unknown nested key",
        "one zone",
        "even etcd count",
        "two coordinators in production",
        "retention shorter than the point-in-time window",
        "replica in the primary's jurisdiction",
        "off-site in the database's region",
        "no contact",
        "webhook without TLS",
        "partial rollout without a stable version",
        "status page in the domain",
        "unprotected production",
        "65 worker groups",
    )
    changes = {path: value for name in names for path, value in BAD[name][1].items()}
    assert {problem.key for problem in problems_of("prod", changes)} == {BAD[name][2] for name in names}


def test_the_message_counts_the_problems_and_names_the_file():
    with pytest.raises(ConfigurationError) as raised:
        settings_of("prod", {"contact": REMOVED, "protect": False})
    first, *others = str(raised.value).splitlines()
    assert first == "the configuration of stack prod (Pulumi.prod.yaml) has 2 problems:"
    assert [line.split(":")[:2] for line in others] == [["  backbuild", "contact"], ["  backbuild", "protect"]]


def test_an_error_does_not_repeat_credentials():
    (problem,) = problems_of("prod", BAD["webhook with credentials"][1])
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("stack", "tier", "sizes"), [("prod", Tier.PRODUCTION, (3, 3, 2, 3, 2)), ("staging", Tier.STAGING, (3, 2, 1, 2, 2))]
)
def test_the_shipped_stacks_load(stack: str, tier: Tier, sizes: tuple[int, ...]):
    settings = settings_of(stack)
    database = settings.database
    assert settings.tier is tier
    assert settings.protect == (tier is Tier.PRODUCTION)
    assert sizes == (
        database.consensus.members,
        database.coordinator.members,
        database.workers.groups,
        database.workers.members,
        database.gateways.members,
    )


def test_keys_of_other_namespaces_are_ignored():
    assert settings_of("prod", {}) == load({"aws:retryMode": "nonsense", **texts("prod")}, "prod")


@pytest.mark.parametrize("groups", [1, 64])
def test_worker_groups_reach_from_1_to_64(groups: int):
    assert settings_of("prod", {"database.workers.groups": groups}).database.workers.groups == groups


def test_status_components_are_those_of_the_status_worker():
    source = (WORKERS / "status" / "components.js").read_text()
    own = re.findall(r'\{ id: "(\w+)"', source) + re.findall(r'PLATFORM = "(\w+)"', source)
    assert sorted(own) == sorted(STATUS_COMPONENTS)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status.operators", [f"operator-{index:03}" for index in range(80)]),
        (
            "status.components",
            [{"id": "a", "name": "A", "url": f"https://example.com/{'x' * 5200}"}],
        ),
        ("alarms.webhooks", [f"https://example.com/{index}/{'x' * 500}" for index in range(10)]),
    ],
)
def test_settings_larger_than_a_worker_variable_are_refused(key: str, value: list[object]):
    (problem,) = problems_of("staging", {key: value})
    assert problem.key == key
    assert "allowed: 5120" in problem.message


@pytest.mark.parametrize("key", ["alarms.emails", "alarms.webhooks"])
def test_a_duplicate_alarm_address_is_refused(key: str):
    address = "a@example.com" if key == "alarms.emails" else "https://example.com"
    (problem,) = problems_of("staging", {key: [address, address]})
    assert (problem.key, "the same address" in problem.message) == (key, True)


@pytest.mark.parametrize("name", ["a" * 34, "Staging", "a_b", "a.b", "-a", "a-"])
def test_a_stacks_name_must_fit_its_resources(name: str):
    with pytest.raises(ConfigurationError, match="is part of its resources' names; allowed: 1 to 33"):
        load(texts("staging"), name)
    assert load(texts("staging"), "a" * 33)


OLD_FORM = {
    "backups.copies": REMOVED,
    "backups.jurisdiction": "eu",
    "backups.replica": {"jurisdiction": "us"},
    "backups.offsite": {"region": "eu-north-1"},
}


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_the_keys_of_earlier_releases_mean_the_same_copies(stack: str):
    assert settings_of(stack, OLD_FORM) == settings_of(stack)


@pytest.mark.parametrize(
    ("old", "value", "entry"),
    [
        ("jurisdiction", "eu", "{name: primary, kind: r2, jurisdiction: …}"),
        ("replica", {"jurisdiction": "us"}, "{name: replica, kind: r2, jurisdiction: …}"),
        ("offsite", {"region": "eu-north-1"}, "{name: offsite, kind: s3, region: …}"),
    ],
)
def test_an_old_key_together_with_copies_is_refused_with_its_replacement(old: str, value: Any, entry: str):
    (problem,) = problems_of("prod", {f"backups.{old}": value})
    assert problem.key == f"backups.{old}"
    assert problem.message == f"is an entry of backups.copies now; write {entry} there instead"


@pytest.mark.parametrize("offsite", [{}, {"backups.offsite": "eu-north-1"}])
def test_incomplete_old_keys_are_refused_like_the_equivalent_list(offsite: dict[str, Any]):
    old = {key: value for key, value in OLD_FORM.items() if key != "backups.offsite"}
    (problem,) = problems_of("prod", old | offsite)
    assert problem.key == "backups.copies"
    assert "allowed: 3 or more" in problem.message


def test_a_fourth_copy_may_be_in_another_store():
    settings = settings_of("prod", {"backups.copies.3": FOREIGN})
    assert [copy.name for copy in settings.backups.copies] == ["primary", "replica", "offsite", "archive"]
    assert FOREIGN["secretAccessKey"] not in repr(settings)


@pytest.mark.parametrize("key", ["a secret with spaces", 12345, ["a-secret-that-no-error-shows"]])
def test_an_error_about_a_copys_key_does_not_repeat_it(key: Any):
    (problem,) = problems_of("prod", {"backups.copies.2": FOREIGN | {"secretAccessKey": key}})
    assert problem.key == "backups.copies[2].secretAccessKey"
    assert "secret-that" not in problem.message
    assert "12345" not in problem.message
    assert "spaces" not in problem.message
