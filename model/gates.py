"""Commands that the platform runs on machines, with their timeouts: health gates, patching and restore rehearsals."""

from __future__ import annotations

GATE_SECONDS = 1800
"""Timeout of a rollout for one member: installation takes 3 minutes, the rest is for catching up with the leader."""

# One minute less than the gate's timeout, so that the script can report its reason.
GATE_COMMAND = f"/usr/local/sbin/backbuild-healthy --wait {GATE_SECONDS - 60}"
"""The command of a member's health gate: exits 0 as soon as the member is healthy, 1 with a reason at the timeout."""

PATCH_COMMAND = "/usr/local/sbin/backbuild-patch"
"""The command of the maintenance window on each member: installs Debian's fixes, reboots and waits for health."""

PATCH_SECONDS = 3600
"""Timeout of the maintenance window for one member: upgrade and reboot take minutes, the rest is for its health."""

PATCH_HEALTH_SECONDS = 900
"""Timeout for a member to be healthy, once before it is patched and once after its reboot."""

RESTORING_TAG = "Restoring"
"""The tag of the secret with the backups' read-only keys during a restore; machines may read it only with this tag."""

RESTORING_VALUE = "true"
"""The value of `RESTORING_TAG` during a restore."""

RESTORE_DRILL = "restore-drill"
"""What follows the platform's prefix in the name of the automation that rehearses restores."""

REHEARSE_COMMAND = "/usr/local/sbin/backbuild-restore rehearse"
"""The command of the restore drill on each database machine: one member of each group restores this month's copy."""

REHEARSE_SECONDS = 6 * 3600
"""Timeout of a rehearsal on one machine: a group's newest backup is fetched, recovered and checked completely."""

DELIVERY_SECONDS = 600
"""A machine must accept a command of the maintenance window or of the restore drill within this time."""
