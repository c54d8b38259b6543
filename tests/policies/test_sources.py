"""Graphs from an exported state and from the engine: invalid states are refused, and both sources agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import analyzer_pb2

from console.errors import InputError
from policies.graph import Undetermined, Unknown
from policies.sources import SECRET, SIGNATURE, Judged, from_export, from_request

from .graphs import PREFIX, export

ROOT = Path(__file__).parents[2]
ENTRY: dict[str, Any] = {"urn": f"{PREFIX}a:b/c:D::x", "type": "a:b/c:D"}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("not json", r":1: not JSON"),
        ("[" * 100_000, "not JSON"),
        ("null", "the document: None; an object"),
        ("[]", "the document"),
        ("{}", "version: is missing"),
        ('{"version": 2, "deployment": {}}', "version: 2; input should be 3"),
        ('{"version": 3}', "deployment: is missing"),
        ('{"version": 3, "deployment": {}}', "deployment.resources: empty"),
        ('{"version": 3, "deployment": {"resources": {"a": 1}}}', "deployment.resources: "),
        (json.dumps(export(1)), r"deployment.resources\[0\]: 1; an object is expected"),  # pyright: ignore
        (json.dumps(export({"urn": "x"})), r"deployment.resources\[0\].type: is missing"),
        (json.dumps(export({"type": "x"})), r"deployment.resources\[0\].urn: is missing"),
        (json.dumps(export(ENTRY | {"inputs": []})), r"deployment.resources\[0\].inputs: \[\]; an object is expected"),
        (json.dumps(export(ENTRY | {"dependencies": "x"})), r"deployment.resources\[0\].dependencies"),
        (json.dumps(export(ENTRY, ENTRY | {"parent": 1})), r"deployment.resources\[1\].parent: 1; a text"),
        (json.dumps(export(ENTRY | {"dependencies": [{}]})), r"resources\[0\].dependencies\[0\]: \{\}; a text"),
        (json.dumps(export(ENTRY | {"dependencies": ["x", None]})), r"dependencies\[1\]: None; a text"),
        (json.dumps(export(ENTRY | {"propertyDependencies": {"a": 5}})), r"propertyDependencies.a: 5; a list"),
        (
            json.dumps(export(ENTRY | {"propertyDependencies": {"a": [{}]}})),
            r"propertyDependencies.a\[0\]: \{\}; a text",
        ),
        (json.dumps(export(ENTRY | {"protect": "false"})), r"resources\[0\].protect: 'false'; true or false"),
        (json.dumps(export(ENTRY | {"delete": 1})), r"resources\[0\].delete: 1; true or false"),
        (json.dumps(export(ENTRY | {"id": {"a": 1}})), r"resources\[0\].id: \{'a': 1\}; a text"),
        (json.dumps(export(ENTRY | {"urn": "x"})), r"resources\[0\].urn: 'x'; urn:pulumi:STACK::PROJECT::TYPE::NAME"),
        (json.dumps(export(ENTRY | {"urn": "urn:pulumi:../x::p::t::n"})), r"resources\[0\].urn: 'urn:pulumi:../x"),
        (json.dumps(export(ENTRY | {"urn": "urn:pulumi:a\0b::p::t::n"})), r"resources\[0\].urn: "),
        (json.dumps(export(ENTRY | {"urn": "urn:pulumi:a::p::t::n\n"})), r"resources\[0\].urn: "),
        (json.dumps(export(ENTRY | {"urn": "urn:pulumi:a::p::t::\ud800"})), "not JSON .*surrogates"),
        (json.dumps(export(ENTRY, ENTRY)), r"resources\[1\].urn: '.*::x' occurs twice"),
        (json.dumps(export(ENTRY, ENTRY | {"urn": "urn:pulumi:other::p::t::n"})), "is of another stack than test"),
        (json.dumps(export(ENTRY | {"delete": True})), "deployment.resources: all resources are to be deleted"),
        (json.dumps(export(ENTRY | {"inputs": {"a": float("nan")}})), r"not JSON \(NaN is not a number in JSON\)"),
        (
            json.dumps(export(ENTRY | {"inputs": {"a": float("-inf")}})),
            r"not JSON \(-Infinity is not a number in JSON\)",
        ),
        (
            json.dumps(export(ENTRY | {"inputs": {"a": 1}})).replace("1}", "1e999}"),
            r"not JSON \(1e999 is not a number in JSON\)",
        ),
        (
            json.dumps(export(ENTRY | {"inputs": {"a": 1}})).replace("1}", "[" * 900 + "]" * 900 + "}"),
            "deployment.resources: a property is nested too deeply",
        ),
    ],
)
def test_an_invalid_state_is_refused_with_its_path(document: str, place: str) -> None:
    with pytest.raises(InputError, match=f"state.json.*{place}"):
        from_export(document.encode(), "state.json")


@pytest.mark.parametrize(
    "key", ["inputs", "outputs", "propertyDependencies", "dependencies", "protect", "parent", "id"]
)
def test_a_null_field_is_read_as_absent(key: str) -> None:
    (found,) = from_export(json.dumps(export(ENTRY | {key: None})).encode(), "x").graph.resources
    assert (found.properties, found.protect, found.parent) == ({}, False, "")


@pytest.mark.parametrize("plaintext", ["", "[" * 100_000, '"\\ud800"', "NaN", 1, None])
def test_a_secret_that_is_not_json_stays_secret(plaintext: object) -> None:
    held = {SIGNATURE: SECRET, "plaintext": plaintext}
    graph = from_export(json.dumps(export(ENTRY | {"inputs": {"a": held}})).encode(), "x").graph
    assert graph.resources[0].properties == {"a": Unknown.SECRET}


def test_the_command_refuses_an_invalid_state_with_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('{"version": 3}')
    for command in (["judge"], ["report", "--out", str(tmp_path / "out")]):
        done = subprocess.run(
            [sys.executable, "-m", "policies", *command, "--file", str(file)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {file}: deployment: is missing")
        assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["plaintext", "ciphertext", "value"])
def test_no_secret_can_be_read(form: str) -> None:
    held = {SIGNATURE: SECRET, form: '"hunter2"' if form == "plaintext" else "hunter2"}
    graph = from_export(json.dumps(export(ENTRY | {"inputs": {"a": held, "b": [held]}})).encode(), "x").graph
    found = graph.resources[0]
    assert found.properties == {"a": Unknown.SECRET, "b": [Unknown.SECRET]}
    with pytest.raises(Undetermined, match="a is secret"):
        found.text("a")


def test_the_structure_inside_a_secret_can_be_read() -> None:
    held = {SIGNATURE: SECRET, "plaintext": json.dumps([{"name": "x"}])}
    graph = from_export(json.dumps(export(ENTRY | {"inputs": {"a": held}})).encode(), "x").graph
    assert graph.resources[0].properties == {"a": [{"name": Unknown.SECRET}]}


def test_a_resource_that_will_be_deleted_is_not_judged() -> None:
    graph = from_export(json.dumps(export(ENTRY, ENTRY | {"delete": True})).encode(), "x").graph
    assert len(graph.resources) == 1


def test_the_engine_and_an_exported_state_give_the_same_graph(prod: Judged) -> None:
    document = json.loads(prod.content)
    request = analyzer_pb2.AnalyzeStackRequest()
    for entry in document["deployment"]["resources"]:
        properties = {**entry.get("inputs", {}), **entry.get("outputs", {})}
        message = request.resources.add(urn=entry["urn"], type=entry["type"], parent=entry.get("parent", ""))
        properties = _on_the_wire(properties)
        message.properties.update({**properties, **({"id": entry["id"]} if entry.get("id") else {})})
        message.options.protect = entry.get("protect", False)
        message.dependencies.extend(entry.get("dependencies", []))
        for key, urns in entry.get("propertyDependencies", {}).items():
            message.propertyDependencies[key].urns.extend(urns or [])
        if entry.get("provider"):
            message.provider.urn = entry["provider"].rpartition("::")[0]
    asked = {one.urn: one for one in from_request(request.resources, {}).resources}
    assert asked.keys() == {one.urn for one in prod.graph.resources}
    for one in prod.graph.resources:
        other = asked[one.urn]
        assert (other.type, other.parent, other.protect) == (one.type, one.parent, one.protect)
        assert other.dependencies == one.dependencies
        assert _sealed(dict(other.properties)) == _sealed(dict(one.properties)), one.urn


def _on_the_wire(value: Any) -> Any:
    """Return a state's properties in the engine's form: a decrypted secret contains its value instead of JSON text."""
    if isinstance(value, dict) and "plaintext" in value:
        return {SIGNATURE: SECRET, "value": _on_the_wire(json.loads(value["plaintext"]))}
    if isinstance(value, dict):
        return {key: _on_the_wire(item) for key, item in value.items()}
    return [_on_the_wire(item) for item in value] if isinstance(value, list) else value


def _sealed(value: Any) -> Any:
    """Replace unknown values by secret ones, because an encrypted secret hides which of its values are unknown."""
    if isinstance(value, dict):
        return {key: _sealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sealed(item) for item in value]
    return Unknown.SECRET if value is Unknown.LATER else value
