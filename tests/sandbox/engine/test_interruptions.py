"""Runs that are killed or interrupted, that find the lock held or a corrupt state, and drift."""

from __future__ import annotations

import json
import random
import signal
import time
from typing import Any

import pytest

from harness.waiting import TIMEOUT_SECONDS, until
from tests.sandbox.engine.conftest import Run, Stack

MANY = """
root = Thing("root", name="root", size={n}, slot="{n}")
for i in range(12):
    a = Thing(f"a{{i}}", name=f"a{{i}}-{n}", ref=root.address, zone="{n}", wait=0.01)
    Thing(f"b{{i}}", name=f"b{{i}}", ref=a.address, size={n}, password=pulumi.Output.secret("s"), wait=0.01)
for i in range({n} * 3):
    Thing(f"only-{n}-{{i}}", name=f"only-{n}-{{i}}", wait=0.01)
"""


def comparable(stack: Stack) -> tuple[dict[str, object], dict[str, object]]:
    volatile = {"created", "modified", "id", "provider"}
    resources = {
        name: json.dumps({k: v for k, v in entry.items() if k not in volatile}, sort_keys=True)
        for name, entry in stack.resources.items()
    }
    # Each encryption uses a new nonce, so ciphertexts differ.
    sealed = {name: text.split('"ciphertext"')[0] for name, text in resources.items()}
    return sealed, stack.objects


def killed(stack: Stack, calls: int, delay: float) -> bool:
    """Run `up` and kill it `delay` seconds after `calls` more cloud calls; return False if it ended before that."""
    process = stack.start("up", "--json", "--skip-preview")
    enough = len(stack.calls) + calls
    while len(stack.calls) < enough and process.poll() is None:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    out, err = process.communicate()
    assert process.returncode in {0, -signal.SIGKILL}, out + err
    return process.returncode != 0


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_up_continues_to_the_same_state(stack: Stack, seed: int) -> None:
    chance = random.Random(seed)
    kills = 0
    for n in (1, 2):
        stack.program(MANY.format(n=n))
        while killed(stack, chance.randint(1, 9), chance.uniform(0, 0.02)):
            kills += 1
    assert kills >= 2  # the exact number depends on the machine's speed
    done = comparable(stack)
    assert len(done[1]) == 1 + 24 + 6
    assert len({entry["urn"] for entry in done[1].values()}) == len(done[1])
    assert stack.up().changed == {}

    fresh = type(stack)(stack.root.parent)
    for n in (1, 2):
        fresh.up(MANY.format(n=n))
    assert comparable(fresh) == done


def test_an_interrupted_up_finishes_its_started_steps(stack: Stack) -> None:
    stack.program(
        """
    first = Thing("first", name="first")
    slow = Thing("slow", name="slow", ref=first.address, until="{word}")
    after = Thing("after", name="after", ref=slow.address)
    """.format(word=stack.root / "word")
    )
    process = stack.start("up", "--json", "--skip-preview")
    journal = stack.folder / "clouds.journal"
    until(lambda: journal.exists() and "id-slow" in journal.read_text(), "slow is being made")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert any("finishing the started steps" in line for line in process.stderr)
    (stack.root / "word").touch()
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    stopped = Run(process.returncode, out, err)
    assert stopped.code == 1
    assert "interrupted" in stopped.document["errors"][0]["message"]
    assert "slow" in stack.resources
    assert "after" not in stack.resources
    assert stack.up().changed == {"after": "create"}


def test_the_lock_error_names_its_holder(stack: Stack) -> None:
    word = stack.root / "word"
    stack.program(f'Thing("first", name="first")\nThing("slow", name="slow", until="{word}")')
    process = stack.start("up", "--json", "--skip-preview")
    until(lambda: "create first" in stack.calls, "first is made")
    refused = stack.run("up", "--json", code=1)
    assert f"process {process.pid}" in refused.err
    assert "`up`" in refused.err
    assert stack.preview().code == 0
    process.kill()
    process.communicate()
    word.touch()
    assert stack.up().code == 0


def test_a_corrupt_state_is_not_changed_and_the_error_names_the_backup(stack: Stack) -> None:
    stack.up('Thing("a", name="a")')
    stack.up('Thing("a", name="a", size=2)')
    file = stack.folder / "state.json"
    file.write_text(file.read_text()[:-40])
    broken = file.read_bytes()
    for command in ("preview", "up", "destroy", "refresh"):
        refused = stack.run(command, "--json", code=1)
        assert str(file) in refused.err
        assert "state.json.bak" in refused.err
    assert file.read_bytes() == broken
    file.write_bytes((stack.folder / "state.json.bak").read_bytes())
    assert stack.up().code == 0


def test_a_crashed_program_keeps_the_resources_already_created(stack: Stack) -> None:
    crashed = stack.up(
        """
        a = Thing("a", name="a")
        raise ValueError("oops")
        """,
        code=1,
    )
    assert "ValueError: oops" in crashed.err
    assert "__main__.py" in crashed.err
    assert "runpy" not in crashed.err
    done = stack.up('Thing("a", name="a")\nThing("b", name="b")')
    assert set(done.changed) <= {"a", "b", "test-dev"}
    assert set(stack.objects) == {"id-a", "id-b"}


def test_a_program_that_dies_does_not_hang_the_engine(stack: Stack) -> None:
    died = stack.up("import os\nos._exit(7)", code=1)
    assert "exit code 7" in died.err
    died = stack.up("import os\nos.kill(os.getpid(), 9)", code=1)
    assert "signal 9" in died.err


def test_refresh_finds_exactly_the_drift_and_up_corrects_it(stack: Stack) -> None:
    program = """
    a = Thing("a", name="a", size=1)
    b = Thing("b", name="b", ref=a.address)
    c = Thing("c", name="c", ref=b.address)
    """
    stack.up(program)
    assert stack.run("refresh", "--json").changed == {}
    file = stack.folder / "clouds.json"
    document = json.loads(file.read_text())
    del document["objects"]["id-b"]
    document["objects"]["id-a"]["inputs"]["size"] = 5
    document["objects"]["id-a"]["outputs"]["size"] = 5
    file.write_text(json.dumps(document))
    found = stack.run("refresh", "--json")
    assert found.changed == {"a": "update", "b": "delete"}
    diff = next(step["diff"] for step in found.document["steps"] if step["urn"].endswith("::a"))
    assert diff == {"size": {"kind": "update", "old": 1, "new": 5}}
    assert "b" not in stack.resources
    assert "dependencies" not in stack.resources["c"]
    assert stack.up().changed == {"a": "update", "b": "create"}
    assert stack.objects["id-a"]["inputs"]["size"] == 1


@pytest.mark.parametrize(
    "resource",
    [{"urn": 5}, {"urn": "urn:pulumi:dev::p::t::a"}, {"urn": "urn:pulumi:dev::p::t::a", "type": "t", "inputs": "x"}],
)
def test_a_malformed_state_is_reported_and_not_changed(stack: Stack, resource: dict[str, Any]) -> None:
    stack.up('Thing("a", name="a")')
    file = stack.folder / "state.json"
    file.write_text(json.dumps({"version": 3, "deployment": {"resources": [resource]}}))
    broken = file.read_bytes()
    refused = stack.run("up", "--json", code=1)
    assert f"{file} cannot be read" in refused.err
    assert "Traceback" not in refused.err
    assert file.read_bytes() == broken
