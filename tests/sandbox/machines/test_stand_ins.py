"""The pure parts of the machines' surroundings: names, rules, image."""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from werkzeug.wrappers import Request

from harness.stacks import contents, members, topology_of
from sandbox.clouds.store import CloudObject
from sandbox.machines import image, network, prerequisites
from sandbox.machines.inventory import INGRESS, INSTANCE, PROFILE, ROLE_POLICY, SUBNET, Inventory
from sandbox.machines.place import Place
from sandbox.machines.services.amazon import SECRET, SECRET_VERSION, Amazon
from sandbox.machines.services.certificates import names
from sandbox.machines.services.resolver import respond
from sandbox.machines.services.tags import remove_tag, set_tag
from sandbox.machines.services.vendors import Vendors
from sandbox.values import Properties

PROD = topology_of("prod")


def thing(type: str, id: str, outputs: Properties) -> CloudObject:
    return CloudObject(type, id, f"urn:pulumi:s::p::{type}::{id}", "", (), outputs)


def instance(id: str, address: str, group: str) -> CloudObject:
    return thing(
        INSTANCE,
        id,
        {
            "privateIp": address,
            "subnetId": "subnet-1",
            "availabilityZone": "eu-central-1a",
            "region": "eu-central-1",
            "vpcSecurityGroupIds": [group],
            "userData": "#cloud-config\n",
        },
    )


def known() -> Inventory:
    rule: Properties = {"securityGroupId": "sg-db", "ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432}
    return Inventory(
        [
            thing(SUBNET, "subnet-1", {"cidrBlock": "10.21.0.0/20"}),
            instance("i-1", "10.21.0.16", "sg-db"),
            instance("i-2", "10.21.0.17", "sg-gateway"),
            instance("i-3", "10.21.0.18", "sg-gateway"),
            thing(INGRESS, "sgr-1", {**rule, "referencedSecurityGroupId": "sg-gateway"}),
            thing(INGRESS, "sgr-2", {**rule, "ipProtocol": "-1", "cidrIpv4": "10.9.0.0/16"}),
        ]
    )


def test_a_machine_admits_what_its_security_groups_admit():
    inventory = known()
    accepted = [line.strip() for line in network.ruleset(inventory.instances["i-1"], inventory).splitlines()]
    assert [line for line in accepted if line.startswith("ip saddr")] == [
        "ip saddr 10.21.0.17 tcp dport 5432-5432 accept",
        "ip saddr 10.21.0.18 tcp dport 5432-5432 accept",
        "ip saddr 10.9.0.0/16 accept",
    ]
    assert "type filter hook input priority 0; policy drop;" in accepted
    assert "ip saddr" not in network.ruleset(inventory.instances["i-2"], inventory)


def test_an_instance_is_known_by_its_address():
    inventory = known()
    found = inventory.at("10.21.0.17")
    assert found is not None
    assert (found.id, found.user_data, found.subnet.router) == ("i-2", b"#cloud-config\n", "10.21.0.1/20")
    assert inventory.at("10.21.0.99") is None


def test_a_secret_has_the_value_of_its_newest_version(tmp_path: Path):
    """A replacement creates the new version first, and deletes the former one at the end of the update."""
    values = (SecretValue("z", "former"), SecretValue("a", "newest"))
    assert read_secret(tmp_path, with_secret({}, *values))["SecretString"] == "newest"


RESTORING = {"Condition": {"StringEquals": {"secretsmanager:ResourceTag/Restoring": "true"}}}


@pytest.mark.parametrize("declared", [{}, {"Restoring": "false"}])
def test_a_secret_is_readable_only_while_it_has_the_tag_of_the_condition(tmp_path: Path, declared: dict[str, str]):
    inventory = with_secret(RESTORING, SecretValue("a", "value"), tags=declared)
    place = Place(tmp_path, tmp_path / "store", tmp_path / "images")
    place.services.mkdir()

    def answer() -> dict[str, str]:
        return read_secret(place.services, inventory)

    assert answer()["Code"] == "AccessDeniedException"
    for secret, key, value in (("other", "Restoring", "true"), ("s", "Other", "true"), ("s", "Restoring", "yes")):
        set_tag(place, secret, key, value)
        assert answer()["Code"] == "AccessDeniedException"
    set_tag(place, "s", "Restoring", "true")
    assert answer()["SecretString"] == "value"
    remove_tag(place, "s", "Other")
    assert answer()["SecretString"] == "value"
    remove_tag(place, "s", "Restoring")
    remove_tag(place, "s", "Restoring")  # a second time: no error
    assert answer()["Code"] == "AccessDeniedException"


@dataclass(frozen=True)
class SecretValue:
    """One version of the secret, with its resource's id."""

    id: str
    text: str


def with_secret(condition: Properties, *versions: SecretValue, tags: Mapping[str, str] | None = None) -> Inventory:
    """Return an instance `i-1` whose role may read the secret `s` under a condition."""
    arn = "arn:aws:secretsmanager:eu-central-1:1:secret:s"
    right = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn, **condition}
    return Inventory(
        [
            thing(SUBNET, "subnet-1", {"cidrBlock": "10.21.0.0/20"}),
            replace(one := instance("i-1", "10.21.0.16", "sg"), outputs={**one.outputs, "iamInstanceProfile": "p"}),
            thing(PROFILE, "p", {"role": "r"}),
            thing(ROLE_POLICY, "rp", {"role": "r", "policy": json.dumps({"Statement": [right]})}),
            thing(SECRET, "s", {"arn": arn, "name": "s", "tagsAll": dict(tags or {})}),
            *(thing(SECRET_VERSION, one.id, {"secretId": arn, "secretString": one.text}) for one in versions),
        ]
    )


def read_secret(folder: Path, inventory: Inventory) -> dict[str, str]:
    """Return the answer to a request of `i-1` for the secret `s`."""
    headers = {"x-amz-target": "secretsmanager.GetSecretValue"}
    request = Request.from_values("/", method="POST", headers=headers, data=json.dumps({"SecretId": "s"}))
    answer = Amazon(folder).answer("secretsmanager", request, inventory.instances["i-1"], inventory)
    return json.loads(answer.get_data())


def query(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", kind, 1)


@pytest.mark.parametrize(("kind", "answers"), [(1, 1), (28, 0)])
def test_every_name_has_one_ipv4_address(kind: int, answers: int):
    asked = query("s3.eu-central-1.amazonaws.com", kind)
    response = respond(asked, "203.0.113.1")
    assert struct.unpack("!6H", response[:12]) == (7, 0x8180, 1, answers, 0, 0)
    assert response[12:].startswith(asked[12:])
    assert response.endswith(bytes([203, 0, 113, 1])) is bool(answers)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("pkg.cloudflare.com", "/cloudflared/dists/any/InRelease", 200),
        ("pkg.cloudflare.com", "/../secret", 404),
        ("s3.eu-central-1.amazonaws.com", "/amazon-ssm-eu-central-1/latest/debian_amd64/amazon-ssm-agent.deb", 200),
        ("s3.eu-central-1.amazonaws.com", "/a-bucket/amazon-ssm-agent.deb", None),
        ("monitoring.eu-central-1.amazonaws.com", "/", None),
    ],
)
def test_vendors_serve_their_packages_and_nothing_else(host: str, path: str, expected: int | None, tmp_path: Path):
    folder = tmp_path / "vendors"
    (folder / "cloudflared/dists/any").mkdir(parents=True)
    for name in ("vendors/cloudflared/dists/any/InRelease", "vendors/amazon-ssm-agent.deb", "secret"):
        (tmp_path / name).write_text("content")
    answer = Vendors(folder).answer(Request({"PATH_INFO": path, "HTTP_HOST": host, "REQUEST_METHOD": "GET"}), host)
    assert (answer.status_code if answer else None) == expected


def test_the_certificate_covers_the_services_of_every_region():
    assert {
        "pkg.cloudflare.com",
        "*.eu-central-1.amazonaws.com",
        "*.us-east-1.amazonaws.com",
        "*.eu.r2.cloudflarestorage.com",
    } <= {*names()}


def test_the_image_has_the_packages_of_every_role():
    lists = [
        re.findall(r'^PACKAGES="(.*)"$', contents(PROD, one)["/etc/default/backbuild"], re.MULTILINE)[0].split()
        for _, one in members(PROD)
    ]
    assert {package for listed in lists for package in listed} <= {*image.packages()}
    assert image.packages() == sorted(image.packages())


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    for program in prerequisites.PROGRAMS:
        if program not in {"mmdebstrap", "systemd-nspawn"}:
            (tmp_path / program).touch(mode=0o755)
    assert prerequisites.missing() == (
        "--live needs Debian packages that are not installed; run `apt-get install mmdebstrap systemd-container`"
    )


def test_without_root_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert prerequisites.missing() == (
        "--live needs root: it makes network namespaces, mounts and containers; run it with sudo"
    )
