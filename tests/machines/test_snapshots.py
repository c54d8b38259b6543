"""Snapshots of user data and files, so that a review sees changes of a machine. `UPDATE_SNAPSHOTS=1` rewrites them."""

import os
from pathlib import Path

import pytest

from harness.stacks import member, topology_of
from machines.archive import archive_of
from machines.files import files_for
from machines.user_data import render

SNAPSHOTS = Path(__file__).parent / "snapshots"
MACHINES = [
    *(("prod", name) for name in ("consensus-0", "coordinator-0", "worker-1-0", "gateway-0")),
    *(("staging", name) for name in ("coordinator-0", "worker-1-0")),
]


@pytest.mark.parametrize(("stack_name", "name"), MACHINES)
def test_a_document_equals_its_snapshot(stack_name: str, name: str):
    topology = topology_of(stack_name)
    one = member(topology, name)
    files = files_for(topology, one)
    parts = [f"==> user data\n{render(topology, one, archive_of(files))}"]
    parts += [f"==> {file.path} {file.mode} {file.owner}\n{file.content}" for file in files]
    compare(f"{stack_name}-{name}.txt", "\n".join(parts))


def compare(name: str, text: str) -> None:
    stored = SNAPSHOTS / name
    if os.environ.get("UPDATE_SNAPSHOTS"):
        stored.write_text(text)
    assert text == stored.read_text(), "if intended: run with UPDATE_SNAPSHOTS=1 and review the difference"


def test_there_are_no_unused_snapshots():
    assert {path.name for path in SNAPSHOTS.iterdir()} == {f"{stack}-{name}.txt" for stack, name in MACHINES}
