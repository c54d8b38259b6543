"""Where graphs come from: what is no state is refused by its place, and both ways of asking see the same."""

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
        ("null", "the document: None"),
        ("[]", "the document"),
        ("{}", "version: None"),
        ('{"version": 2, "deployment": {}}', "version: 2, 3 is expected"),
        ('{"version": 3}', "deployment: None, an object is expected"),
        ('{"version": 3, "deployment": {}}', "deployment.resources: empty"),
        ('{"version": 3, "deployment": {"resources": {"a": 1}}}', "deployment.resources: "),
        (json.dumps(export(1)), r"deployment.resources\[0\]: 1, an object is expected"),  # pyright: ignore
        (json.dumps(export({"urn": "x"})), r"deployment.resources\[0\].type: None, a text is expected"),
        (json.dumps(export({"type": "x"})), r"deployment.resources\[0\].urn: None, a text is expected"),
        (json.dumps(export(ENTRY | {"inputs": []})), r"deployment.resources\[0\].inputs: \[\], an object is expected"),
        (json.dumps(export(ENTRY | {"dependencies": "x"})), r"deployment.resources\[0\].dependencies"),
        (json.dumps(export(ENTRY, ENTRY | {"parent": 1})), r"deployment.resources\[1\].parent: 1, a text"),
    ],
)
def test_what_is_no_state_is_refused_by_its_place(document: str, place: str) -> None:
    with pytest.raises(InputError, match=f"state.json.*{place}"):
        from_export(document.encode(), "state.json")


def test_the_command_refuses_it_with_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('{"version": 3}')
    for command in (["judge"], ["report", "--out", str(tmp_path / "out")]):
        done = subprocess.run(
            [sys.executable, "-m", "policies", *command, "--file", str(file)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {file}: deployment: ")
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


def test_the_structure_around_a_secret_can_be_walked() -> None:
    held = {SIGNATURE: SECRET, "plaintext": json.dumps([{"name": "x"}])}
    graph = from_export(json.dumps(export(ENTRY | {"inputs": {"a": held}})).encode(), "x").graph
    assert graph.resources[0].properties == {"a": [{"name": Unknown.SECRET}]}


def test_what_is_to_be_deleted_is_not_judged() -> None:
    graph = from_export(json.dumps(export(ENTRY, ENTRY | {"delete": True})).encode(), "x").graph
    assert len(graph.resources) == 1


def test_an_engine_and_a_file_show_the_same(prod: Judged) -> None:
    document = json.loads(prod.content)
    request = analyzer_pb2.AnalyzeStackRequest()
    for entry in document["deployment"]["resources"]:
        properties = {**entry.get("inputs", {}), **entry.get("outputs", {})}
        message = request.resources.add(urn=entry["urn"], type=entry["type"], parent=entry.get("parent", ""))
        message.properties.update({**properties, **({"id": entry["id"]} if entry.get("id") else {})})
        message.options.protect = entry.get("protect", False)
        message.dependencies.extend(entry.get("dependencies", []))
        for key, urns in entry.get("propertyDependencies", {}).items():
            message.propertyDependencies[key].urns.extend(urns or [])
        if entry.get("provider"):
            message.provider.urn = entry["provider"].rpartition("::")[0]
    asked = {one.urn: one for one in from_request(request.resources).resources}
    assert asked.keys() == {one.urn for one in prod.graph.resources}
    for one in prod.graph.resources:
        other = asked[one.urn]
        assert (other.type, other.parent, other.protect) == (one.type, one.parent, one.protect)
        assert other.dependencies == one.dependencies
        assert _sealed(dict(other.properties)) == _sealed(dict(one.properties)), one.urn


def _sealed(value: Any) -> Any:
    """Values with numbers alike; an encrypted secret has no structure in either."""
    if isinstance(value, dict):
        return {key: _sealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sealed(item) for item in value]
    return Unknown.SECRET if value is Unknown.LATER else value
