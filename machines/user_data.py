"""A member's files as EC2 user data: one `#cloud-config` document, compressed, the same bytes for the same topology."""

from __future__ import annotations

import base64
import gzip

from machines.files import environment, files_for
from model.topology import Member, Topology

LIMIT_BYTES = 16_384
"""EC2's limit for user data, before base64."""


class UserDataTooLargeError(Exception):
    """A member's user data does not fit into what EC2 accepts."""

    def __init__(self, member: Member, compressed: int, plain: int) -> None:
        super().__init__(
            f"the user data of {member.name} is {compressed} bytes compressed ({plain} plain), and EC2 accepts "
            f"{LIMIT_BYTES}; remedy: shorten what machines/templates/ renders for a {member.role}"
        )


def render(topology: Topology, member: Member) -> str:
    """What EC2 hands to cloud-init at the member's first boot: base64 of gzip. Raises `UserDataTooLargeError`."""
    document = cloud_config(topology, member).encode()
    compressed = gzip.compress(document, mtime=0)
    if len(compressed) > LIMIT_BYTES:
        raise UserDataTooLargeError(member, len(compressed), len(document))
    return base64.b64encode(compressed).decode()


def cloud_config(topology: Topology, member: Member) -> str:
    """The document itself: the files, then the one script that installs and starts everything."""
    files = files_for(topology, member)
    return environment().get_template("cloud-config").render(member=member, files=files)
