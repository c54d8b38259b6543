"""How a rollout learns that a member is well before it goes on to the next one."""

from __future__ import annotations

GATE_SECONDS = 1800
"""How long a rollout waits for one member: packages take 3 minutes, the rest is catching up with the leader."""

# The answer must come before the agent ends the command.
GATE_COMMAND = f"/usr/local/sbin/backbuild-healthy --wait {GATE_SECONDS - 60}"
"""Run on a member by its health gate: exits 0 as soon as the member is healthy, 1 with the reason when it never is."""
