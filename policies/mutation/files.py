"""Mutation operators that change a machine's files.

A machine's user data holds a cloud-config, which installs an archive of files. The archive is an S3 object; the user
data pins its SHA-256.
"""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import yaml

from policies.graph import Graph, Resource
from policies.mutation.operators import Mutant, Operator, Where, anything, having, replaced, revised
from policies.views import machines
from policies.views.booted import BOOT, archives, boot_of, files_of
from policies.views.machines import ENVIRONMENT, INSTANCE


def role(*roles: str) -> Where:
    """Accept instances with one of these roles."""
    return having("tags.Role", *roles)


CONSENSUS, GATEWAY = role(machines.CONSENSUS), role(machines.GATEWAY)
DATABASE, KEEPS_DATA = role(*machines.DATABASE), role(*machines.KEEPS_DATA)


def edit(path: str, pattern: str, replacement: str, where: Where = anything, *, all: bool = False) -> Operator:
    """Replace the matches of a regular expression in a file of machines.

    Makes a mutant for each machine that has a match, or with `all` one mutant in which all of these machines change.
    """

    def change(document: dict[str, Any]) -> None:
        for file in document["write_files"]:
            if file["path"] == path:
                file["content"] = re.sub(pattern, replacement, file["content"], flags=re.MULTILINE)

    return boot(change, where, all=all)


def write(path: str, content: str, where: Where = anything) -> Operator:
    """Add a file to one machine's archive."""
    file = {"path": path, "content": content, "permissions": "0644"}
    return boot(lambda document: document["write_files"].append(file), where)


def disable(unit: str) -> Operator:
    """Remove a systemd unit from the list of units that a machine enables at its first boot."""
    return edit(ENVIRONMENT, rf"^(SERVICES=.*){re.escape(unit)} ", r"\1")


def boot(change: Callable[[dict[str, Any]], None], where: Where = anything, *, all: bool = False) -> Operator:
    """Change the cloud-config or the archive of machines.

    `change` edits the cloud-config in place; for it, `write_files` lists the files of the archive, too. Makes a mutant
    for each machine that changes, or with `all` one mutant in which all of them change.
    """

    def make(graph: Graph) -> Iterator[Mutant]:
        changed: list[tuple[Resource, Resource]] = []
        for instance in filter(where, graph.of(INSTANCE)):
            archive = archives(graph)[f"{boot_of(str(instance.properties['userData'])).sha256}.tar.gz"]
            old = _opened(instance, archive)
            new = copy.deepcopy(old)
            change(new)
            if new != old:
                changed.append(_packed(instance, archive, new))
        if all and changed:
            yield Mutant(f"all {len(changed)} machines", replaced(graph, *chain.from_iterable(changed)))
        elif not all:
            for pair in changed:
                yield Mutant(pair[0].label, replaced(graph, *pair))

    return make


def _opened(instance: Resource, archive: Resource) -> dict[str, Any]:
    user_data = str(instance.properties["userData"])
    document = yaml.load(user_data, yaml.CSafeLoader)
    files = files_of(str(archive.properties["contentBase64"]), boot_of(user_data).sha256)
    document["write_files"] += [{"path": path, "content": content} for path, content in files.items()]
    return document


def _packed(instance: Resource, archive: Resource, document: dict[str, Any]) -> tuple[Resource, Resource]:
    """Return the instance and its archive with the files of `document`.

    The user data pins the SHA-256 of the new archive, so that rules see other files, not a wrong checksum. A file with
    the key `outside` stays in the cloud-config instead of the archive.
    """
    outside = [file for file in document["write_files"] if file["path"] == BOOT or "outside" in file]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in document["write_files"]:
            if file not in outside:
                content = file["content"].encode()
                entry = tarfile.TarInfo(file["path"].removeprefix("/"))
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    content = gzip.compress(packed.getvalue(), mtime=0, compresslevel=1)
    before, after = str(archive.properties["key"]).partition(".")[0], hashlib.sha256(content).hexdigest()
    text = yaml.dump({**document, "write_files": outside}, Dumper=yaml.CSafeDumper, allow_unicode=True, width=4096)
    user_data = "#cloud-config\n" + text.replace(before, after)
    stored = {"key": f"{after}.tar.gz", "contentBase64": base64.b64encode(content).decode()}
    return (
        revised(instance, properties={**instance.properties, "userData": user_data}),
        revised(archive, properties={**archive.properties, **stored}),
    )
