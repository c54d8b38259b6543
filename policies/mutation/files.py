"""Operators on the files that machines boot with: the cloud-config in an instance's user data."""

from __future__ import annotations

import base64
import copy
import gzip
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from policies.graph import Graph, Resource
from policies.mutation.operators import Mutant, Operator, Where, anything, having, replaced, revised
from policies.views import machines
from policies.views.machines import ENVIRONMENT, INSTANCE


def role(*roles: str) -> Where:
    """Accept instances with one of these roles."""
    return having("tags.Role", *roles)


CONSENSUS, GATEWAY = role(machines.CONSENSUS), role(machines.GATEWAY)
DATABASE, KEEPS_DATA = role(*machines.DATABASE), role(*machines.KEEPS_DATA)


def edit(path: str, pattern: str, replacement: str, where: Where = anything, *, all: bool = False) -> Operator:
    """Replace a regular expression in a file, on each machine that has it or (`all`) on all of them in one mutant."""

    def change(document: dict[str, Any]) -> None:
        for file in document["write_files"]:
            if file["path"] == path:
                file["content"] = re.sub(pattern, replacement, file["content"], flags=re.MULTILINE)

    return boot(change, where, all=all)


def write(path: str, content: str, where: Where = anything) -> Operator:
    """Add a file."""
    file = {"path": path, "content": content, "permissions": "0644"}
    return boot(lambda document: document["write_files"].append(file), where)


def disable(unit: str) -> Operator:
    """Do not enable a systemd unit when the machine is installed."""
    return edit(ENVIRONMENT, rf"^(SERVICES=.*){re.escape(unit)} ", r"\1")


def boot(change: Callable[[dict[str, Any]], None], where: Where = anything, *, all: bool = False) -> Operator:
    """Change the cloud-config in place, on each machine or (`all`) on all machines in one mutant."""

    def make(graph: Graph) -> Iterator[Mutant]:
        changed: list[Resource] = []
        for instance in filter(where, graph.of(INSTANCE)):
            old = machines.document_of(str(instance.properties["userDataBase64"]))
            new = copy.deepcopy(dict(old))
            change(new)
            if new != old:
                changed.append(revised(instance, properties={**instance.properties, "userDataBase64": _encoded(new)}))
        if all and changed:
            yield Mutant(f"all {len(changed)} machines", replaced(graph, *changed))
        elif not all:
            for one in changed:
                yield Mutant(one.label, replaced(graph, one))

    return make


def _encoded(document: dict[str, Any]) -> str:
    text = "#cloud-config\n" + yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True, width=4096)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0, compresslevel=1)).decode()
