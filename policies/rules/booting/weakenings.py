"""Weakenings of how machines boot: other files than the archive that the user data pins."""

from __future__ import annotations

from typing import Any

from policies.graph import Value
from policies.mutation.files import boot
from policies.mutation.operators import drop_all, put, substitute
from policies.mutation.weakening import Weakenings
from policies.views.booted import BOOT, OBJECT
from policies.views.machines import INSTANCE


def in_cloud_config(key: str, value: Value) -> Any:
    """Add a key to the cloud-config."""
    return boot(lambda document: document.update({key: value}))


def _outside(document: dict[str, Any]) -> None:
    document["write_files"].append({"path": "/etc/default/etcd", "content": "", "outside": True})


WEAKENINGS: Weakenings = {
    "boots-what-is-judged": {
        "the boot script does not compare the SHA-256": substitute(
            INSTANCE, "userData", "if found != sha256:", "if False:"
        ),
        "the user data pins another archive": boot(
            lambda document: document["runcmd"].__setitem__(0, [BOOT, "eu-central-1", "backbuild", "0" * 64])
        ),
        "the machine runs a command after the installation": boot(
            lambda document: document["runcmd"].append(["systemctl", "stop", "patroni"])
        ),
        "the cloud-config writes a file that is not in the archive": boot(_outside),
        "the cloud-config installs packages": in_cloud_config("packages", ["patroni"]),
        "the cloud-config runs a command at each boot": in_cloud_config("bootcmd", [["systemctl", "stop", "etcd"]]),
        "the user data is a shell script": put(INSTANCE, "userData", "#!/bin/sh\n"),
        "no archive is stored": drop_all(OBJECT),
        "the archive does not match its SHA-256": put(OBJECT, "contentBase64", "H4sIAAAAAAAAAwMAAAAAAAAAAAA="),
        "the archive is in another bucket": put(OBJECT, "bucket", "backbuild-prod-elsewhere"),
    },
}
