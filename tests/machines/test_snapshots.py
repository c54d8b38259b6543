"""Whole documents, so that a review sees what a change does to a machine. `UPDATE_SNAPSHOTS=1` writes them anew."""

import os
from pathlib import Path

import pytest

from harness.stacks import member, stack
from machines.user_data import cloud_config

SNAPSHOTS = Path(__file__).parent / "snapshots"
MACHINES = [
    *(("prod", name) for name in ("consensus-0", "coordinator-0", "worker-1-0", "gateway-0")),
    *(("staging", name) for name in ("coordinator-0", "worker-1-0")),
]


@pytest.mark.parametrize(("stack_name", "name"), MACHINES)
def test_a_machine_boots_with_what_was_reviewed(stack_name: str, name: str):
    topology = stack(stack_name)
    document = cloud_config(topology, member(topology, name))
    stored = SNAPSHOTS / f"{stack_name}-{name}.yaml"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        stored.write_text(document)
    assert document == stored.read_text(), "if the change is meant: UPDATE_SNAPSHOTS=1, then review the difference"


def test_no_snapshot_is_left_over():
    assert {path.name for path in SNAPSHOTS.iterdir()} == {f"{stack}-{name}.yaml" for stack, name in MACHINES}
