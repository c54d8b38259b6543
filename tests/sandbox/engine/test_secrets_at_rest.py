"""Secrets: encrypted in the state, hidden in plans, with stable ciphertexts and a checked passphrase."""

from __future__ import annotations

import json

import pytest

from sandbox.engine.errors import InputError
from sandbox.engine.secrets import SecretsManager, from_json, to_json
from sandbox.values import SECRET_SIGNATURE, SIGNATURE, Secret
from tests.sandbox.engine.conftest import Stack

PROGRAM = """
a = Thing("a", name="a", password=pulumi.Output.secret("hunter2"), opts=Opts(additional_secret_outputs=["address"]))
b = Thing("b", name="b", ref=a.address, size={size})
pulumi.export("password", a.password)
pulumi.export("address", a.address)
"""


def test_secrets_are_never_shown_or_stored_in_plain_text(stack: Stack) -> None:
    planned = stack.preview(PROGRAM.format(size=1))
    done = stack.up()
    assert done.document["outputs"] == {"password": "[secret]", "address": "[secret]"}
    human = stack.run("preview", "--diff")
    for text in (planned.out, done.out, human.out, human.err, (stack.folder / "state.json").read_text()):
        assert "hunter2" not in text
    entry = stack.resources["a"]
    for where in (entry["inputs"]["password"], entry["outputs"]["password"], entry["outputs"]["address"]):
        assert where.keys() == {SIGNATURE, "ciphertext"}
    assert stack.resources["b"]["inputs"]["ref"].keys() == {SIGNATURE, "ciphertext"}
    assert stack.objects["id-a"]["inputs"]["password"] == "hunter2"


def test_unchanged_secrets_keep_their_ciphertext(stack: Stack) -> None:
    stack.up(PROGRAM.format(size=1))
    before = stack.resources
    assert stack.up(PROGRAM.format(size=2)).changed == {"b": "update"}
    assert stack.resources["a"] == before["a"]
    assert stack.resources["b"]["inputs"]["ref"] == before["b"]["inputs"]["ref"]


def test_the_update_of_a_secret_does_not_show_its_value(stack: Stack) -> None:
    stack.up(PROGRAM.format(size=1))
    changed = stack.up(PROGRAM.format(size=1).replace("hunter2", "hunter3"))
    diff = next(step["diff"] for step in changed.document["steps"] if step["op"] == "update")
    assert diff == {"password": {"kind": "update", "old": "[secret]", "new": "[secret]"}}


def test_a_wrong_passphrase_changes_nothing(stack: Stack) -> None:
    stack.up(PROGRAM.format(size=1))
    before = (stack.folder / "state.json").read_bytes()
    stack.environment["PULUMI_CONFIG_PASSPHRASE"] = "battery staple"
    for command in ("preview", "up", "refresh", "destroy"):
        assert "incorrect passphrase" in stack.run(command, "--json", code=2).err
    assert (stack.folder / "state.json").read_bytes() == before


def test_a_missing_passphrase_is_generated_and_stored(stack: Stack) -> None:
    del stack.environment["PULUMI_CONFIG_PASSPHRASE"]
    stack.up(PROGRAM.format(size=1))
    kept = stack.root / ".sandbox" / "passphrase"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert stack.up().changed == {}
    kept.unlink()
    assert "passphrase" in stack.run("preview", "--json", code=2).err


def test_export_and_import(stack: Stack) -> None:
    stack.up(PROGRAM.format(size=1))
    sealed = stack.run("export").out
    assert "hunter2" not in sealed
    assert json.loads(sealed)["deployment"]["secrets_providers"]["type"] == "passphrase"
    bare = stack.root / "bare.json"
    stack.run("export", "--show-secrets", "--file", str(bare))
    assert json.loads(json.loads(bare.read_text())["deployment"]["resources"][-1]["inputs"]["ref"]["plaintext"])
    for file in stack.folder.glob("state.json*"):
        file.unlink()
    stack.run("import", "--file", str(bare))
    assert "hunter2" not in (stack.folder / "state.json").read_text()
    assert stack.up().changed == {}


def test_decrypt_reverses_encrypt() -> None:
    manager = SecretsManager(None, lambda: "phrase")
    closed = to_json({"a": [Secret({"b": Secret(1)}), "plain"]}, "urn", manager)
    again = SecretsManager(manager.provider, lambda: "phrase")
    assert from_json(closed, "urn", again) == {"a": [Secret({"b": 1}), "plain"]}
    assert again.encrypt("urn", '{"b":1}') == closed["a"][0]["ciphertext"]
    with pytest.raises(InputError, match="incorrect passphrase"):
        SecretsManager(manager.provider, lambda: "other").unlock()


@pytest.mark.parametrize("field", ["plaintext", "ciphertext"])
def test_nested_secret_markers_are_read(field: str) -> None:
    """The Pulumi CLI keeps nested markers, in plain text, inside the value that it encrypts."""
    inner = {SIGNATURE: SECRET_SIGNATURE, field: '"x"'}
    outer = {SIGNATURE: SECRET_SIGNATURE, "plaintext": json.dumps([{"name": "A", "text": inner}])}
    assert from_json(outer, "urn", SecretsManager(None, lambda: "phrase")) == Secret([{"name": "A", "text": "x"}])
