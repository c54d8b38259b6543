"""EC2 user data: a short `#cloud-config` that fetches a member's archive, checks its SHA-256 and installs it."""

from __future__ import annotations

from machines.archive import Archive
from machines.files import environment
from model.topology import Member, Topology


def render(topology: Topology, member: Member, archive: Archive) -> str:
    """Return the plain text that EC2 passes to cloud-init at the member's first boot."""
    values = {
        "member": member,
        "boot": environment().get_template("boot.py").render(),
        "region": topology.settings.database.region,
        "bucket": topology.machine_files_bucket,
        "archive": archive,
    }
    return environment().get_template("cloud-config").render(values)
