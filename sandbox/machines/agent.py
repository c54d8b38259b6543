"""What AWS Systems Manager does: runs a command through a machine's agent, and waits until it succeeds."""

from __future__ import annotations

import subprocess
import time

from sandbox.machines.errors import MachineError
from sandbox.machines.inventory import Association
from sandbox.machines.machine import Machine

AGENT = "amazon-ssm-agent.service"
PAUSE = 0.5  # seconds between two looks at the agent


def run(machine: Machine, name: str, association: Association) -> None:
    """Run an association's command once the agent runs; raise a `MachineError` unless it succeeds in time."""
    deadline = time.monotonic() + association.seconds
    what = f"{association.name} did not succeed on {name}"
    while not _agent_runs(machine):
        if time.monotonic() > deadline:
            raise MachineError(
                f"{what}: {AGENT} did not start within {association.seconds} s; read `logs {name}` for the reason"
            )
        if not machine.running:
            raise MachineError(f"{what}: the machine has stopped; run `up --live` to start it again")
        time.sleep(PAUSE)
    try:
        done = machine.run(["sh", "-c", association.command], seconds=max(deadline - time.monotonic(), 1))
    except subprocess.TimeoutExpired:
        raise MachineError(f"{what} within {association.seconds} s; read `logs {name}` for the reason") from None
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise MachineError(f"{what}: its command ended with status {done.returncode}: {reason}")


def _agent_runs(machine: Machine) -> bool:
    if machine.leader() is None:
        return False
    return machine.run(["systemctl", "is-active", "--quiet", AGENT]).returncode == 0
