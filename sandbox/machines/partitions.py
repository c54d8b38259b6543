"""Network partitions: cut machines or a whole zone from all other machines and from the services, and heal the cut.

A cut is an nftables table in the stack's `cloud` namespace, through which every packet between two machines goes. So it
also applies to a machine that boots later, and disappears with the namespace.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from sandbox.engine.errors import InputError
from sandbox.machines import network
from sandbox.machines.inventory import Instance
from sandbox.machines.place import Place

Only = Literal["incoming", "outgoing"]
PREFIX = "cut-"  # the beginning of the tables' names
HOST = "169.254.0.0/16"  # the metadata service and the resolver are on the instance's own host, also in a cut zone


def targets(instances: Collection[Instance]) -> dict[str, list[str]]:
    """Return the addresses behind each name that can be cut: those of a zone's machines, or of one machine."""
    found: dict[str, list[str]] = {}
    for one in sorted(instances, key=lambda one: (one.zone, one.name)):
        found.setdefault(one.zone, []).append(one.address)
    return found | {one.name: [one.address] for one in instances}


def addresses_of(name: str, instances: Collection[Instance]) -> list[str]:
    """Return the addresses to cut for the name of a zone or machine; raise an `InputError` for another name."""
    known = targets(instances)
    if name in known:
        return known[name]
    zones = ", ".join(sorted({one.zone for one in instances})) or "none"
    machines = ", ".join(sorted(one.name for one in instances)) or "none"
    raise InputError(f"there is no zone or machine {name}; zones: {zones}; machines: {machines}")


def ruleset(name: str, addresses: Sequence[str], only: Only | None = None) -> str:
    """Return the rules that drop each packet between these addresses and others, or those of one direction only."""
    inside, near = ", ".join(addresses), ", ".join([*addresses, HOST])
    dropped: Mapping[Only, str] = {
        "outgoing": f"ip saddr {{ {inside} }} ip daddr != {{ {near} }} drop",
        "incoming": f"ip daddr {{ {inside} }} ip saddr != {{ {near} }} drop",
    }
    body = "\n".join(f"  {rule}" for direction, rule in dropped.items() if only in {None, direction})
    # Packets of machines enter through a bridge's port, packets of the services leave through one.
    chains = "".join(
        f" chain {hook} {{\n  type filter hook {hook} priority 0;\n{body}\n }}\n"
        for hook in ("prerouting", "postrouting")
    )
    table = f"table bridge {PREFIX}{name}"
    return f"add {table}\ndelete {table}\n{table} {{\n{chains}}}\n"


def cut(place: Place, name: str, addresses: Sequence[str], only: Only | None = None) -> None:
    """Cut these addresses from all others. The name is for `heal`; another cut with this name is replaced."""
    network.nft(place.cloud, ruleset(name, addresses, only))


def cuts(place: Place) -> list[str]:
    """Return the names of the present cuts."""
    tables = network.nft(place.cloud, "list tables bridge\n").split()
    return sorted(word.removeprefix(PREFIX) for word in tables if word.startswith(PREFIX))


def heal(place: Place, name: str | None = None) -> list[str]:
    """Remove a cut, or all cuts, and return the names of the removed ones."""
    healed = [one for one in cuts(place) if name in {None, one}]
    network.nft(place.cloud, "".join(f"delete table bridge {PREFIX}{one}\n" for one in healed))
    return healed
