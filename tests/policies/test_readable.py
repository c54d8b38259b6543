"""Values that are marked as secret or unknown but can be read: Workers' bindings, and documented defaults."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pulumi.runtime.proto import analyzer_pb2

from policies.graph import Resource, Undetermined, Unknown
from policies.sources import SECRET, SIGNATURE, UNKNOWNS, from_export, from_request
from policies.views.permissions import TOKEN
from sandbox.values import Secret, to_struct

URN = "urn:pulumi:prod::backbuild::{type}::one"
VERSION = "cloudflare:index/workerVersion:WorkerVersion"
QUEUE = "cloudflare:index/queue:Queue"
LATER = min(UNKNOWNS)
BINDINGS: list[Any] = [
    {"name": "DB", "type": "d1", "id": LATER},
    {"name": "SENDER", "type": "plain_text", "text": "a@example.com"},
    {"name": "GROUPS", "type": "json", "json": "[]"},
    {"name": "KEY", "type": "secret_text", "text": "hunter2"},
    {"name": "SIGN", "type": "secret_key", "algorithm": {"name": "Ed25519"}, "keyBase64": "hunter2", "format": "raw"},
    {"name": "NEW", "type": "of_next_year", "text": "hunter2"},
]


def exported(type: str, outputs: dict[str, Any], **entry: Any) -> Resource:
    one = {"urn": URN.format(type=type), "type": type, "custom": True, "id": "x", "outputs": outputs, **entry}
    document = {"version": 3, "deployment": {"resources": [one]}}
    return from_export(json.dumps(document).encode(), "state.json").graph.resources[0]


def asked(type: str, outputs: dict[str, Any]) -> Resource:
    request = analyzer_pb2.AnalyzeStackRequest()
    request.resources.add(urn=URN.format(type=type), type=type).properties.CopyFrom(to_struct(outputs))
    return from_request(request.resources, {}).resources[0]


def sealed(value: Any) -> dict[str, Any]:
    return {SIGNATURE: SECRET, "plaintext": json.dumps(value)}


@pytest.mark.parametrize("origin", ["state", "engine", "engine, element by element"])
def test_bindings_are_read_except_for_secret_types(origin: str) -> None:
    if origin == "state":
        version = exported(VERSION, {"bindings": sealed(BINDINGS)})
    elif origin == "engine":
        version = asked(VERSION, {"bindings": Secret(BINDINGS)})
    else:
        texts = [{**one, "text": Secret(one["text"])} if "text" in one else one for one in BINDINGS]
        version = asked(VERSION, {"bindings": texts})
    database, sender, groups, key, sign, new = version.items("bindings")
    assert [one.text("name") for one in version.items("bindings")] == [one["name"] for one in BINDINGS]
    assert (sender.text("text"), groups.text("json")) == ("a@example.com", "[]")
    assert sign.text("format") == "raw"
    with pytest.raises(Undetermined, match="known only after"):
        database.text("id")
    for hidden, path in ((key, "text"), (sign, "keyBase64"), (new, "text")):
        with pytest.raises(Undetermined, match="is secret"):
            hidden.text(path)
    assert "hunter2" not in str(version.properties)


def test_the_error_for_encrypted_bindings_has_a_remedy() -> None:
    version = exported(VERSION, {"bindings": {SIGNATURE: SECRET, "ciphertext": "v1:a:b"}})
    with pytest.raises(Undetermined, match="--show-secrets"):
        version.items("bindings")


def test_a_list_of_another_type_stays_hidden() -> None:
    other = asked(QUEUE, {"bindings": Secret([{"name": "A", "id": LATER}])})
    assert other.properties["bindings"] == [{"name": Unknown.SECRET, "id": Unknown.LATER}]


@pytest.mark.parametrize(
    ("type", "outputs", "path", "expected"),
    [
        (QUEUE, {"settings": {"messageRetentionPeriod": 60, "deliveryDelay": LATER}}, "settings.deliveryDelay", 0),
        (QUEUE, {"settings": {"deliveryDelay": 30}}, "settings.deliveryDelay", 30),
        (TOKEN, {"status": LATER}, "status", "active"),
        (TOKEN, {"status": "disabled"}, "status", "disabled"),
    ],
)
def test_an_unknown_default_is_the_documented_one(type: str, outputs: Any, path: str, expected: object) -> None:
    assert exported(type, outputs).read(path) == expected
    assert asked(type, outputs).read(path) == expected


def test_a_value_from_another_resource_stays_unknown() -> None:
    needs = {"settings": [URN.format(type=QUEUE)]}
    queue = exported(QUEUE, {"settings": {"deliveryDelay": LATER}}, propertyDependencies=needs)
    with pytest.raises(Undetermined):
        queue.read("settings.deliveryDelay")
