"""Everything that a machine boots with, for a review to see. `UPDATE_SNAPSHOTS=1` writes it anew."""

import os
from pathlib import Path

import pytest

from harness.stacks import member, stack
from machines.archive import archive_of
from machines.files import files_for
from machines.user_data import render

SNAPSHOTS = Path(__file__).parent / "snapshots"
MACHINES = [
    *(("prod", name) for name in ("consensus-0", "coordinator-0", "worker-1-0", "gateway-0")),
    *(("staging", name) for name in ("coordinator-0", "worker-1-0")),
]


@pytest.mark.parametrize(("stack_name", "name"), MACHINES)
def test_a_machine_boots_with_what_was_reviewed(stack_name: str, name: str):
    topology = stack(stack_name)
    one = member(topology, name)
    files = files_for(topology, one)
    parts = [f"==> user data\n{render(topology, one, archive_of(files))}"]
    parts += [f"==> {file.path} {file.mode} {file.owner}\n{file.content}" for file in files]
    compare(f"{stack_name}-{name}.txt", "\n".join(parts))


def compare(name: str, text: str) -> None:
    stored = SNAPSHOTS / name
    if os.environ.get("UPDATE_SNAPSHOTS"):
        stored.write_text(text)
    assert text == stored.read_text(), "if the change is meant: UPDATE_SNAPSHOTS=1, then review the difference"


def test_no_snapshot_is_left_over():
    assert {path.name for path in SNAPSHOTS.iterdir()} == {f"{stack}-{name}.txt" for stack, name in MACHINES}
