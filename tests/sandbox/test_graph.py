"""The diagram of a stack: of small sets of resources, and of this project's preview."""

from __future__ import annotations

import random
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sandbox import graph
from sandbox.clouds import open_clouds
from sandbox.engine.errors import InputError
from sandbox.engine.state import Resource
from sandbox.engine.watch import SilentWatcher
from sandbox.engine.workspace import find
from sandbox.picture import picture
from sandbox.picture.diagram import Diagram
from sandbox.picture.layout import place
from sandbox.picture.reading import read
from sandbox.picture.svg import shorten
from sandbox.picture.workers import describe_cron
from sandbox.values import UNKNOWN, Secret

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"

INSTANCE = "aws:ec2/instance:Instance"
SUBNET = "aws:ec2/subnet:Subnet"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
R2 = "cloudflare:index/r2Bucket:R2Bucket"
S3 = "aws:s3/bucket:Bucket"
WORKER = "cloudflare:index/worker:Worker"
VERSION = "cloudflare:index/workerVersion:WorkerVersion"


def urn(type: str, name: str) -> str:
    return f"urn:pulumi:test::shop::{type}::{name}"


def make(type: str, name: str, inputs: dict[str, Any] | None = None, **needs: str | list[str]) -> Resource:
    """Return a resource. `needs` maps its properties to the URNs of the resources that they depend on."""
    listed = {key: [urns] if isinstance(urns, str) else urns for key, urns in needs.items()}
    return Resource(
        urn(type, name), type, custom=True, inputs={**dict.fromkeys(listed, UNKNOWN), **(inputs or {})},
        property_dependencies=listed, dependencies=sorted({one for urns in listed.values() for one in urns}),
    )  # fmt: skip


def machine(name: str, group: str, role: str, zone: str) -> Resource:
    return make(
        INSTANCE, name, {"privateIp": "10.0.0.1", "instanceType": "t4g.small", "tags": {"Group": group, "Role": role}},
        subnetId=urn(SUBNET, zone), vpcSecurityGroupIds=urn(SECURITY_GROUP, role),
    )  # fmt: skip


def worker(name: str, bindings: list[dict[str, Any]], *needs: str) -> list[Resource]:
    return [
        make(WORKER, name, {"name": f"shop-{name}"}),
        make(VERSION, name, {"bindings": bindings}, workerId=urn(WORKER, name), bindings=list(needs)),
    ]


def machines(groups: int = 1) -> list[Resource]:
    subnets = [make(SUBNET, zone, {"availabilityZone": f"eu-{zone}"}) for zone in "abc"]
    shards = [
        machine(f"shard-{g}-{n}", f"shard-{g}", "shard", zone) for g in range(groups) for n, zone in enumerate("bca")
    ]
    return [
        *subnets, make(SECURITY_GROUP, "router"), make(SECURITY_GROUP, "shard"),
        machine("router-0", "router", "router", "c"), *shards,
        make(INGRESS, "in", {"fromPort": 5432}, securityGroupId=urn(SECURITY_GROUP, "shard"),
             referencedSecurityGroupId=urn(SECURITY_GROUP, "router")),
    ]  # fmt: skip


def edge_and_storage() -> list[Resource]:
    return [
        make("cloudflare:index/hyperdriveConfig:HyperdriveConfig", "db", {"origin": {"host": "db.shop.test"}}),
        *worker(
            "api",
            [{"type": "hyperdrive", "id": UNKNOWN}, {"type": "r2_bucket", "bucketName": "shop-first"}],
            urn("cloudflare:index/hyperdriveConfig:HyperdriveConfig", "db"),
        ),
        *worker("page", [{"type": "plain_text", "text": "https://api.shop.test/health"}]),
        *worker("copy", [{"type": "secret_text", "text": Secret("x")},
                         {"type": "r2_bucket", "bucketName": "shop-first"},
                         {"type": "r2_bucket", "bucketName": "shop-second"}]),
        make("cloudflare:index/workersCustomDomain:WorkersCustomDomain", "api",
             {"service": "shop-api", "hostname": "api.shop.test"}),
        make("cloudflare:index/workersCustomDomain:WorkersCustomDomain", "page",
             {"service": "shop-page", "hostname": "page.test"}),
        make(R2, "first", {"name": "shop-first", "jurisdiction": "eu"}),
        make(R2, "second", {"name": "shop-second", "jurisdiction": "us"}),
        make(S3, "third", {"bucket": "shop-third"}),
        make("cloudflare:index/queue:Queue", "events", {"queueName": "shop-events"}),
        make("cloudflare:index/queue:Queue", "dead", {"queueName": "shop-dead"}),
        make("cloudflare:index/r2BucketEventNotification:R2BucketEventNotification", "events",
             bucketName=urn(R2, "first"), queueId=urn("cloudflare:index/queue:Queue", "events")),
        make("cloudflare:index/queueConsumer:QueueConsumer", "copy", {"scriptName": "shop-copy"},
             queueId=urn("cloudflare:index/queue:Queue", "events"),
             deadLetterQueue=urn("cloudflare:index/queue:Queue", "dead")),
    ]  # fmt: skip


def named(diagram: Diagram) -> set[tuple[str, str, str]]:
    return {(edge.source.rpartition("::")[2], edge.target.rpartition("::")[2], edge.label) for edge in diagram.edges}


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_members_are_in_the_column_of_their_zone() -> None:
    canvas, _ = place(read(machines()))
    columns = {ground.x: ground for ground in canvas.grounds if ground.style == "zone"}
    by_zone = dict(zip("abc", (columns[x] for x in sorted(columns)), strict=True))
    for member, zone in {"router-0": "c", "shard-0-0": "b", "shard-0-1": "c", "shard-0-2": "a"}.items():
        box, column = canvas.places[member], by_zone[zone]
        assert column.x < box.x < box.right < column.right, member
    assert [text.text for text in canvas.texts if text.text.startswith("eu-")] == ["eu-a", "eu-b", "eu-c"]


def test_ingress_is_drawn_from_the_security_groups() -> None:
    assert ("router", "shard", "5432") in named(read(machines()))


def test_clients_are_above_the_machines_they_connect_to() -> None:
    late = machines()
    router = next(one for one in late if one.urn.endswith("router-0"))
    router.dependencies.append(urn(INSTANCE, "shard-0-2"))
    assert [role.name for role in read(late).machines.roles] == ["router", "shard"]


def test_many_groups_are_shown_as_the_first_ones_and_a_count() -> None:
    shown = texts(picture(machines(groups=64)))
    assert "shard-2" in shown
    assert "shard-3" not in shown
    assert "… 61 more" in shown


def test_bindings_domains_and_queues_are_the_edges() -> None:
    edges = named(read(edge_and_storage()))
    assert edges == {
        ("customers", "api", "api.shop.test"),
        ("customers", "page", "page.test"),
        ("page", "api", "GET /health"),
        ("api", "db", "SQL"),
        ("api", "first", "objects"),
        ("first", "events", "each new object"),
        ("events", "copy", "batches"),
        ("copy", "second", "objects"),  # and not back to `first`, whose event notifications the queue carries
    }


def test_a_worker_that_shares_a_database_with_a_background_worker_is_placed_beside_it() -> None:
    database, domain = (
        "cloudflare:index/d1Database:D1Database",
        "cloudflare:index/workersCustomDomain:WorkersCustomDomain",
    )
    diagram = read([
        *edge_and_storage(), make(database, "memory"), make(database, "history"),
        *worker("audit", [{"type": "d1"}], urn(database, "memory")),
        *worker("report", [{"type": "d1"}], urn(database, "memory")),
        *worker("shop", [{"type": "d1"}], urn(database, "history")),
        make(domain, "report", {"service": "shop-report", "hostname": "report.shop.test"}),
        make(domain, "shop", {"service": "shop-shop", "hostname": "shop.test"}),
    ])  # fmt: skip
    assert {box.title for box in diagram.front if box.kind == "Worker"} == {"api", "page", "shop"}
    assert [box.lines for box in diagram.storage.scheduled] == [("audit · stores in D1", "report · report.shop.test")]
    assert not [edge for edge in diagram.edges if edge.label == "report.shop.test"]


def test_machines_that_may_read_a_buckets_key_write_to_it() -> None:
    role, secret = "aws:iam/role:Role", "aws:secretsmanager/secret:Secret"
    profile, token = "aws:iam/instanceProfile:InstanceProfile", "cloudflare:index/accountToken:AccountToken"
    keeper = make(INSTANCE, "keeper", {"availabilityZone": "eu-a"}, iamInstanceProfile=urn(profile, "keeper"))
    other = make(INSTANCE, "other", {"availabilityZone": "eu-a"}, iamInstanceProfile=urn(profile, "other"))
    version = "aws:secretsmanager/secretVersion:SecretVersion"
    chain = [
        make(profile, "keeper", role=urn(role, "keeper")), make(profile, "other", role=urn(role, "other")),
        make(role, "keeper"), make(role, "other"),
        make("aws:iam/rolePolicy:RolePolicy", "keeper", role=urn(role, "keeper"), policy=urn(secret, "key")),
        make(secret, "key"),
        make(version, "key", secretId=urn(secret, "key"), secretString=urn(token, "t")),
        make(token, "t", policies=urn(R2, "first")),
        make(R2, "first", {"name": "shop-first"}),
    ]  # fmt: skip
    assert named(read([keeper, other, *chain])) == {("keeper", "first", "writes")}


def test_alarms_lead_to_their_channels_without_webhook_paths() -> None:
    topic, subscription = "aws:sns/topic:Topic", "aws:sns/topicSubscription:TopicSubscription"
    dimensions = {"dimensions": {"Member": "router-0"}}
    svg = picture([
        make(topic, "alarms"),
        make("aws:cloudwatch/metricAlarm:MetricAlarm", "disk", dimensions, alarmActions=urn(topic, "alarms")),
        make(subscription, "hook", {"endpoint": "https://hooks.test/s3cret"}, topic=urn(topic, "alarms")),
        make(subscription, "mail", {"endpoint": "us@shop.test"}, topic=urn(topic, "alarms")),
        *machines(),
    ])  # fmt: skip
    assert {"1 alarm", "us@shop.test", "hooks.test", "metrics"} <= set(texts(svg))
    assert "s3cret" not in svg


def test_every_bucket_is_drawn_with_its_location() -> None:
    svg = picture(edge_and_storage())
    assert {"first", "second", "third", "jurisdiction eu", "jurisdiction us"} <= set(texts(svg))


def test_the_order_of_resources_does_not_change_the_diagram() -> None:
    resources = [*machines(groups=3), *edge_and_storage()]
    expected = picture(resources)
    for seed in range(5):
        random.Random(seed).shuffle(resources)
        assert picture(resources) == expected


def test_names_are_escaped() -> None:
    svg = picture([make(INSTANCE, "<b>&\"'", {"availabilityZone": "eu-a"})])
    assert "<b>&\"'" in texts(svg)
    assert "<b>" not in svg


def test_an_empty_stack_is_drawn() -> None:
    assert texts(picture([])) == ["an empty stack"]


def test_long_names_are_shortened_to_the_available_width() -> None:
    assert shorten("a-very-long-name", "small", 40) == "a-very…"
    assert shorten("short", "small", 40) == "short"
    assert shorten("any-length-at-all", "small", 0) == "any-length-at-all"


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("7 * * * *", "hourly at :07"),
        ("15 7 * * *", "daily at 07:15 UTC"),
        ("0 3 * * SUN", "cron 0 3 * * SUN"),
    ],
)
def test_schedules_in_words(cron: str, words: str) -> None:
    assert describe_cron(cron) == words


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The diagram of this project's production stack, from a preview."""
    folder = tmp_path_factory.mktemp("graph")
    out = folder / "platform.svg"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_HOME", str(folder / "home"))
        assert graph.run(ROOT, "prod", open_clouds, SilentWatcher(), out) == 0
    return out.read_text(encoding="utf-8")


def test_the_diagram_in_the_documentation_is_current(drawn: str) -> None:
    assert (ROOT / "docs" / "platform.svg").read_text(encoding="utf-8") == drawn, "run `make picture`"


def test_the_diagram_has_a_text_alternative(drawn: str) -> None:
    root = ElementTree.fromstring(drawn)
    assert root.findtext(f"{SVG}title") == "backbuild · prod"
    words = root.findtext(f"{SVG}desc") or ""
    assert all(word in words for word in ("coordinator", "vault-primary", "eu-central-1a", "oncall@backbuild.ai"))


def test_a_stack_with_a_state_is_drawn_from_its_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path))
    with find(ROOT, "prod").open() as state:
        state.put(make(INSTANCE, "of-the-state", {"availabilityZone": "eu-a"}))
    assert graph.run(ROOT, "prod", open_clouds, SilentWatcher(), None) == 0
    assert "of-the-state" in texts(capsys.readouterr().out)


def test_no_text_is_shortened_or_outside_the_diagram(drawn: str) -> None:
    root = ElementTree.fromstring(drawn)
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    assert not [text for text in texts(drawn) if text.endswith("…")]
    for path in root.iter(f"{SVG}path"):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d", ""))]
        assert all(0 <= x <= width for x in numbers[::2])
        assert all(0 <= y <= height for y in numbers[1::2])


def test_arrows_run_through_no_box(drawn: str) -> None:
    """Check every straight segment of every arrow against the inside of every box."""
    root = ElementTree.fromstring(drawn)
    boxes = [[float(rect.get(key, "0")) for key in ("x", "y", "width", "height")]
             for rect in root.iter(f"{SVG}rect") if rect.get("class") in {"box", "pill"}]  # fmt: skip
    paths = [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == "arrow"]
    assert len(boxes) > 20
    assert len(paths) > 20
    for path in paths:
        points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", path)]
        for (x1, y1), (x2, y2) in pairwise(points):
            for x, y, width, height in boxes:
                apart = (max(x1, x2) <= x + 1 or min(x1, x2) >= x + width - 1
                         or max(y1, y2) <= y + 1 or min(y1, y2) >= y + height - 1)  # fmt: skip
                assert apart, f"{path} runs through the box at {x}, {y}"


def test_the_error_names_an_output_file_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(graph, "resources_of", lambda *_: [])
    with pytest.raises(InputError, match=r"nowhere/picture\.svg"):
        graph.run(ROOT, "prod", open_clouds, SilentWatcher(), tmp_path / "nowhere" / "picture.svg")
