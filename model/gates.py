"""How a rollout learns that a member is well before it goes on to the next one."""

from __future__ import annotations

GATE_SECONDS = 1800
"""How long a rollout waits for one member: packages take 3 minutes, the rest is catching up with the leader."""

# The answer must come before the agent ends the command.
GATE_COMMAND = f"/usr/local/sbin/backbuild-healthy --wait {GATE_SECONDS - 60}"
"""Run on a member by its health gate: exits 0 as soon as the member is healthy, 1 with the reason when it never is."""

PATCH_COMMAND = "/usr/local/sbin/backbuild-patch"
"""Run on one member after the other by the maintenance window: installs Debian's fixes, reboots, waits for health."""

PATCH_SECONDS = 3600
"""How long the window waits for one member: packages and a reboot take minutes, the rest is waiting for health."""

PATCH_HEALTH_SECONDS = 900
"""How long a member may take to be healthy before it is patched, and again after its reboot."""
