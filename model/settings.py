"""The settings of a stack, as frozen types with their constraints.

`model.configuration.load` parses `pulumi config` into a `Settings`; no later code validates again. Each constraint
contains its error message, which states what is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from model.gates import RESTORING_TAG
from model.partitions import unsupported_reason


class Tier(StrEnum):
    """How much redundancy a stack must have: `production` serves customers, `staging` is for rehearsals."""

    PRODUCTION = "production"
    STAGING = "staging"


class Jurisdiction(StrEnum):
    """The jurisdiction in which R2 keeps a bucket's data. Location hints are not offered: R2 may ignore them."""

    EU = "eu"
    US = "us"
    FEDRAMP = "fedramp"


class Weekday(StrEnum):
    """The day of a maintenance window, as AWS cron expressions spell it."""

    MON = "MON"
    TUE = "TUE"
    WED = "WED"
    THU = "THU"
    FRI = "FRI"
    SAT = "SAT"
    SUN = "SUN"


def _odd(members: int) -> int:
    if members % 2 == 0:
        raise ValueError("an even number of members tolerates no more failures than one fewer; allowed: 3, 5 or 7")
    return members


def _three_distinct(zones: tuple[str, ...]) -> tuple[str, ...]:
    if len(zones) != 3 or len(set(zones)) != 3:
        raise ValueError(
            "exactly three different zones are needed, so that a majority survives the loss of any zone; "
            f"given: {', '.join(zones) or 'none'}"
        )
    return zones


# RFC 1918. Python's `is_private` includes loopback and link-local, which a VPC cannot use.
_PRIVATE = tuple(ipaddress.IPv4Network(cidr) for cidr in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def _private_network(cidr: str) -> str:
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as error:
        raise ValueError(f"{error}; allowed: a private network such as 10.20.0.0/16") from error
    if not any(network.subnet_of(private) for private in _PRIVATE) or not 16 <= network.prefixlen <= 18:
        raise ValueError("allowed: a private network of size /16 to /18, such as 10.20.0.0/16")
    return cidr


def _not_empty(recipients: tuple[str, ...]) -> tuple[str, ...]:
    if not recipients:
        raise ValueError("the list is empty, so alarms would reach nobody; allowed: one or more")
    return recipients


# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-nitro-instances.html: the instance families built on Xen.
_XEN = re.compile(r"(c[134]|d2|f1|g3s?|h1|i[23]|m[1-4]|p[23]|r[34]|t[12]|x1e?)\..*")


def _built_on_nitro(instance_type: str) -> str:
    if _XEN.fullmatch(instance_type):
        raise ValueError(
            f"{instance_type} is built on Xen, where a machine cannot identify its data volume by the volume's id; "
            "allowed: a type built on the Nitro System, such as r7g.large"
        )
    return instance_type


def _not_restoring(key: str) -> str:
    if key.lower() == RESTORING_TAG.lower():  # IAM ignores the case of tags in the names of condition keys
        raise ValueError(f"machines may read the keys of all backups while the tag {key} is set; allowed: another key")
    return key


def _supported(region: str) -> str:
    reason = unsupported_reason(region)
    if reason is not None:
        raise ValueError(f"{reason}; allowed: a commercial or GovCloud (US) region")
    return region


def _matching(pattern: str, allowed: str, *, repeat: bool = True) -> AfterValidator:
    """Return a validator for a pattern. `repeat`: whether the error may show the value, which may be a secret."""
    expression = re.compile(pattern)

    def check(value: str) -> str:
        if not expression.fullmatch(value):
            raise ValueError(f"{repr(value) if repeat else 'the value'} is invalid; allowed: {allowed}")
        return value

    return AfterValidator(check)


Hostname = Annotated[
    str, _matching(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", "a domain such as example.com")
]
Label = Annotated[str, _matching(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "one label of a hostname, such as api")]
EmailAddress = Annotated[str, _matching(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")]
HttpsUrl = Annotated[
    str, _matching(r"https://[^\s/@]+(/\S*)?", "an https:// address without credentials in it", repeat=False)
]
Region = Annotated[
    str, _matching(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as eu-central-1"), AfterValidator(_supported)
]
InstanceType = Annotated[str, _matching(r"[a-z0-9-]+\.[a-z0-9-]+", "an EC2 instance type such as r7g.large")]
DataInstanceType = Annotated[InstanceType, AfterValidator(_built_on_nitro)]
Image = Annotated[str, _matching(r"ami-[0-9a-f]{8,17}", "the id of a Debian 13 image in the region, ami-…")]
AccountId = Annotated[str, _matching(r"[0-9a-f]{32}", "a Cloudflare account id, 32 hexadecimal digits")]
RoleArn = Annotated[str, _matching(r"arn:aws(-us-gov)?:iam::\d{12}:role/.+", "the ARN of an IAM role")]
# Part of a bucket's name, which has 63 characters at most: backbuild-STACK-backups-NAME.
CopyName = Annotated[str, _matching(r"[a-z][a-z0-9]{0,10}", "1 to 11 lower-case letters and digits, a letter first")]
AuthorityName = Annotated[str, _matching(r"[a-z0-9]{1,16}", "1 to 16 lower-case letters and digits, such as 2027")]
StoreRegion = Annotated[str, _matching(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a region such as eu-north-1")]
BucketName = Annotated[str, _matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name")]
VersionId = Annotated[
    str, _matching(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "the id of a Worker version, a UUID")
]
# Machines read their tags from the metadata service, which allows neither spaces nor slashes in keys.
TagKey = Annotated[
    str,
    _matching(
        r"(?!aws:)(?!(\.{1,2}|_index)$)[A-Za-z0-9_.:=+@-]{1,128}",
        "at most 128 letters a to z, digits and _ . : = + @ -, not beginning with aws:",
    ),
    AfterValidator(_not_restoring),
]
VolumeGib = Annotated[
    int, Field(ge=8, le=16384)
]  # gp3: at most 16 TiB; less than 8 GiB is too small for the system's logs


def _printable(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]{1,256}", secret.get_secret_value()):
        raise ValueError("the value is invalid; allowed: 1 to 256 printable characters without a space")
    return secret


Credential = Annotated[SecretStr, AfterValidator(_printable)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class Edge(_Section):
    """The Cloudflare account."""

    account_id: AccountId


class Rollout(_Section):
    """The percentage of requests for the newest API version; the other requests go to `stable_version`."""

    percentage: Annotated[int, Field(ge=1, le=100)] = 100
    stable_version: VersionId | None = None


class Api(_Section):
    """The API Worker, and the folder of the operator's own script, which serves all paths but `/health`."""

    hostname: Label = "api"
    script: str | None = None
    rollout: Rollout = Rollout()


class Consensus(_Section):
    """The etcd members that elect every group's leader."""

    members: Annotated[int, Field(ge=3, le=7), AfterValidator(_odd)]
    instance_type: DataInstanceType
    volume_gib: VolumeGib = 10


class Coordinator(_Section):
    """The coordinator group, to which clients connect: the Citus coordinator and its standbys."""

    members: Annotated[int, Field(ge=2, le=3)]
    instance_type: DataInstanceType
    volume_gib: VolumeGib


class Workers(_Section):
    """The Citus worker groups, which store the shards. Each has its own leader and standbys."""

    groups: Annotated[int, Field(ge=1, le=64)]
    members: Annotated[int, Field(ge=2, le=3)]
    instance_type: DataInstanceType
    volume_gib: VolumeGib


class Gateways(_Section):
    """The machines that route connections to the leaders (HAProxy) and run the tunnel to the edge (cloudflared)."""

    members: Annotated[int, Field(ge=2, le=3)] = 2
    instance_type: InstanceType


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError(f"a name occurs twice in {', '.join(names)}; allowed: each name once")
    return names


class BuildSchedule(StrEnum):
    """When the pipeline builds an image: only when an operator starts it, or also every week or month."""

    MANUAL = "manual"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class ImagePipeline(_Section):
    """The pipeline that builds images with the machines' packages. It exists only if `base_image` is set.

    `base_image` is a plain Debian image. `instance_type` is the build instance's type; its processor architecture must
    be that of the members' instance types.
    """

    base_image: Image | None = None
    instance_type: InstanceType = "t3.small"
    schedule: BuildSchedule = BuildSchedule.MANUAL


class Database(_Section):
    """The Citus cluster: its region, network and size, and the authorities of its machines' certificates.

    The first authority signs the certificates; machines trust all of them. A new `password_generation` replaces the
    passwords of the API and of Patroni.
    """

    region: Region
    zones: Annotated[tuple[str, ...], AfterValidator(_three_distinct)]
    network: Annotated[str, AfterValidator(_private_network)]
    image: Image
    image_pipeline: ImagePipeline = ImagePipeline()
    consensus: Consensus
    coordinator: Coordinator
    workers: Workers
    gateways: Gateways
    certificate_authorities: Annotated[
        tuple[AuthorityName, ...], Field(min_length=1, max_length=3), AfterValidator(_distinct)
    ] = ("first",)
    password_generation: Annotated[int, Field(ge=1, le=1000)] = 1


class Rotation(_Section):
    """How long each class of backups is kept: the only source of lock, lifecycle and age-out rules."""

    hourly_days: Annotated[int, Field(ge=1, le=90)]
    daily_days: Annotated[int, Field(ge=2, le=366)]  # must exceed hourly_days, which is at least 1
    monthly_months: Annotated[int, Field(ge=1, le=120)]
    yearly_years: Annotated[int, Field(ge=1, le=30)]
    minimum_fulls: Annotated[int, Field(ge=1, le=30)] = 3  # the newest full backups of a group, however old


class CopyKind(StrEnum):
    """The store of a copy of the backups: Cloudflare R2, or AWS S3 and other S3-compatible stores."""

    R2 = "r2"
    S3 = "s3"


class LockMode(StrEnum):
    """The mode of S3 Object Lock. GOVERNANCE: users with a special permission can shorten a lock. COMPLIANCE: none."""

    COMPLIANCE = "COMPLIANCE"
    GOVERNANCE = "GOVERNANCE"


PRIMARY = "primary"
"""The copy that the machines write to."""


class BackupCopy(_Section):
    """One copy of the backups: r2 with a jurisdiction, s3 with a region at AWS, or s3 with another store's endpoint.

    The operator creates a bucket in another store, with versioning and object lock, and sets its keys as secrets.
    """

    name: CopyName
    kind: CopyKind
    jurisdiction: Jurisdiction | None = None
    region: StoreRegion | None = None
    role_arn: RoleArn | None = None
    lock_mode: LockMode | None = None  # None: COMPLIANCE if the stack is protected, else GOVERNANCE
    endpoint: HttpsUrl | None = None
    bucket: BucketName | None = None
    access_key_id: Credential | None = None
    secret_access_key: Credential | None = None
    read_access_key_id: Credential | None = None  # None: machines cannot restore from this copy
    read_secret_access_key: Credential | None = None


class RestoreDrill(_Section):
    """When the monthly restore drill starts, in UTC. It takes up to six hours, as `model.gates` limits it."""

    day_of_month: Annotated[int, Field(ge=1, le=28)] = 2  # every month has 28 days
    hour_utc: Annotated[int, Field(ge=0, le=23)] = 8  # after the committed stacks' backup and maintenance window


WorkerGroup = Annotated[str, _matching(r"worker-([1-9]|[1-5]\d|6[0-4])", "a Citus worker group, worker-1 to worker-64")]


class Backups(_Section):
    """The copies of the backups, their rotation, the days in which any point in time can be restored, and the drill."""

    copies: Annotated[tuple[BackupCopy, ...], Field(max_length=8)]  # the verify Worker reads one stream from each copy
    rotation: Rotation
    point_in_time_days: Annotated[int, Field(ge=1, le=90)]
    full_hour_utc: Annotated[int, Field(ge=0, le=23)] = 1
    restore_drill: RestoreDrill = RestoreDrill()
    # Removed groups that still have backups: the buckets' rules for them stay until the backups have expired.
    former_groups: Annotated[tuple[WorkerGroup, ...], AfterValidator(_distinct)] = ()


def _thousandths(percent: float) -> float:
    if abs(round(percent * 1000) - percent * 1000) > 1e-6:
        raise ValueError(f"{percent} has more than three decimals; allowed: a percentage such as 99.95")
    return percent


Percent = Annotated[float, Field(gt=0, le=100), AfterValidator(_thousandths)]


class Credit(_Section):
    """The service credit, in percent of the month's fee, for a month with an uptime below a limit."""

    below_percent: Percent
    credit_percent: Annotated[int, Field(ge=1, le=100)]


class Uptime(_Section):
    """The monthly uptime target, and the service credits for a month that misses it."""

    target_percent: Percent = 99.9
    credits: tuple[Credit, ...] = tuple(
        Credit.model_validate({"belowPercent": below, "creditPercent": credit})
        for below, credit in ((99.9, 10), (99.0, 25), (95.0, 50))
    )


class AddedComponent(_Section):
    """A component of the status page in addition to the API's. Its URL is probed every minute; 2xx means healthy."""

    id: Label
    name: Annotated[str, Field(min_length=1, max_length=40)]
    url: HttpsUrl


class WebhookKey(_Section):
    """The key of contacts' webhook secrets: its generation, and whether the previous generation still signs."""

    generation: Annotated[int, Field(ge=1, le=1000)] = 1
    overlap: bool = True


class Status(_Section):
    """The status page: its operators, its additional components, and the replication of its database."""

    operators: Annotated[tuple[Label, ...], AfterValidator(_distinct)] = ()
    components: Annotated[
        tuple[AddedComponent, ...], Field(max_length=14)
    ] = ()  # together with the six built-in ones: 20
    # With replicas the page stays up if the primary's location fails. D1 accepts this only as a later change.
    read_replicas: bool = False
    webhook_key: WebhookKey = WebhookKey()


class Maintenance(_Section):
    """The weekly maintenance window, and the notice that customers get before disruptive maintenance."""

    weekday: Weekday
    start_hour_utc: Annotated[int, Field(ge=0, le=23)]
    duration_hours: Annotated[int, Field(ge=2, le=24)] = 4
    notice_hours: Annotated[int, Field(ge=24)] = 72


class Drills(_Section):
    """Whether drills may break the stack, and how old the newest report of each required drill may be."""

    allowed: bool = False
    max_age_days: Annotated[int, Field(ge=1, le=366)] = 92


class Alarms(_Section):
    """The recipients of alarms, by e-mail and by webhook, and the thresholds."""

    emails: Annotated[tuple[EmailAddress, ...], AfterValidator(_not_empty)]
    webhooks: Annotated[tuple[HttpsUrl, ...], AfterValidator(_not_empty)]
    replication_lag_bytes: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024  # four WAL segments
    disk_used_percent: Annotated[int, Field(ge=50, le=95)] = 80


class Exchanger(_Section):
    """A mail server (MX) of the domain; senders try the lowest `priority` first."""

    host: Hostname
    priority: Annotated[int, Field(ge=0, le=65535)] = 10


class DkimKey(_Section):
    """A DKIM key: its selector, and the hostname under which its owner publishes it."""

    selector: Label
    target: Hostname


class Mail(_Section):
    """The mail servers and senders of `domain`. Without exchangers the domain receives no mail."""

    exchangers: Annotated[tuple[Exchanger, ...], Field(max_length=10)] = ()
    # SPF allows ten DNS look-ups (RFC 7208, 4.6.4), and each included sender may need several.
    senders: Annotated[tuple[Hostname, ...], Field(max_length=5)] = ()
    dkim: Annotated[tuple[DkimKey, ...], Field(max_length=10)] = ()


class Settings(_Section):
    """The complete, valid configuration of a stack."""

    tier: Tier
    domain: Hostname
    status_domain: Hostname
    contact: EmailAddress
    mail: Mail = Mail()
    protect: bool
    tags: dict[TagKey, Annotated[str, Field(max_length=256)]] = {}
    edge: Edge
    api: Api = Api()
    database: Database
    backups: Backups
    maintenance: Maintenance
    drills: Drills = Drills()
    uptime: Uptime = Uptime()
    status: Status = Status()
    alarms: Alarms
