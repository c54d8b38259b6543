"""Networks of their own for a stack: a bridge for each subnet, a router, and a link for each machine.

All of it is in network namespaces; the host's own network is not touched.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from sandbox.machines.errors import MachineError
from sandbox.machines.inventory import Ingress, Instance, Inventory, Subnet
from sandbox.machines.place import Place

NAMESPACES = Path("/run/netns")
METADATA = "169.254.169.254"  # where every cloud serves the instance's metadata
RESOLVER = "169.254.169.253"  # Amazon's address for its resolver
INTERNET = "203.0.113.1"  # every name resolves to this address, which has all services; reserved for documentation
LINK = "ens5"  # the name of the network interface on an EC2 instance


def ip(*arguments: str, namespace: str | None = None, check: bool = True) -> str:
    """Run `ip` in a namespace and return its output."""
    inside = ("-n", namespace) if namespace else ()
    return _run("ip", *inside, *arguments, check=check)


def inside(namespace: str) -> tuple[str, ...]:
    """Return the words that run a command in a network namespace, and otherwise in this process's place."""
    return ("nsenter", f"--net={NAMESPACES / namespace}", "--")


def nft(namespace: str, rules: str) -> str:
    """Run nftables' statements in a namespace, all or none of them, and return the output."""
    return _run(*inside(namespace), "nft", "-f", "-", stdin=rules)


def names(place: Place) -> list[str]:
    """Return the names of the stack's namespaces that exist."""
    return sorted(path.name for path in NAMESPACES.glob(f"{place.prefix}-*"))


def make_cloud(place: Place) -> None:
    """Make the namespace of the router and the services, unless it exists."""
    if (NAMESPACES / place.cloud).exists():
        return
    ip("netns", "add", place.cloud)
    ip("link", "set", "lo", "up", namespace=place.cloud)
    for address in (METADATA, RESOLVER, INTERNET):
        ip("address", "add", f"{address}/32", "dev", "lo", namespace=place.cloud)
    _run(*inside(place.cloud), "sysctl", "-q", "net.ipv4.ip_forward=1")


def connect(place: Place, instance: Instance) -> str:
    """Make the machine's namespace with its address and its route, and return the namespace's name."""
    name = place.namespace(instance.id)
    remove(name)
    bridge = _bridge(place, instance.subnet)
    ip("netns", "add", name)
    ip("link", "set", "lo", "up", namespace=name)
    port = _port(instance.id)
    ip("link", "delete", port, namespace=place.cloud, check=False)
    ip("link", "add", port, "type", "veth", "peer", "name", LINK, "netns", name, namespace=place.cloud)
    ip("link", "set", port, "master", bridge, "up", namespace=place.cloud)
    length = instance.subnet.network.prefixlen
    ip("address", "add", f"{instance.address}/{length}", "dev", LINK, namespace=name)
    ip("link", "set", LINK, "up", namespace=name)
    ip("route", "add", "default", "via", instance.subnet.router.partition("/")[0], namespace=name)
    return name


def unplug(place: Place, instance: str) -> None:
    """Take a machine's network link down, until `connect` makes another one."""
    if _port(instance) in ip("-brief", "link", namespace=place.cloud):
        ip("link", "set", _port(instance), "down", namespace=place.cloud)


def _port(instance: str) -> str:
    return "m" + instance[-12:]  # a name has at most 15 characters


def _bridge(place: Place, subnet: Subnet) -> str:
    name = "b" + subnet.id[-12:]
    if name not in ip("-brief", "link", namespace=place.cloud):
        ip("link", "add", name, "type", "bridge", namespace=place.cloud)
        ip("address", "add", subnet.router, "dev", name, namespace=place.cloud)
        ip("link", "set", name, "up", namespace=place.cloud)
    return name


def remove(name: str) -> None:
    """Delete a namespace, and with it its links."""
    if (NAMESPACES / name).exists():
        ip("netns", "delete", name)


def enforce(place: Place, inventory: Inventory) -> None:
    """Apply the security groups' ingress rules in every machine's namespace."""
    for instance in inventory.instances.values():
        name = place.namespace(instance.id)
        if (NAMESPACES / name).exists():
            nft(name, ruleset(instance, inventory))


def ruleset(instance: Instance, inventory: Inventory) -> str:
    """Return the nftables rules of an instance: what its security groups admit, and answers to its own requests."""
    rules = [
        rule for each in inventory.ingress if each.group in instance.security_groups for rule in _rules(each, inventory)
    ]
    chain = ["type filter hook input priority 0; policy drop;", "ct state established,related accept", "iif lo accept"]
    body = "\n".join(f"  {line}" for line in [*chain, *rules])
    return (
        f"add table ip security\ndelete table ip security\ntable ip security {{\n chain ingress {{\n{body}\n }}\n}}\n"
    )


def _rules(rule: Ingress, inventory: Inventory) -> Iterator[str]:
    ports = "" if rule.protocol == "-1" else f"{rule.protocol} dport {rule.ports[0]}-{rule.ports[1]} "
    for source in sorted(_sources(rule, inventory)):
        yield f"ip saddr {source} {ports}accept"


def _sources(rule: Ingress, inventory: Inventory) -> Iterable[str]:
    if rule.source_range:
        return [rule.source_range]
    return [one.address for one in inventory.instances.values() if rule.source_group in one.security_groups]


def _run(*command: str, check: bool = True, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise MachineError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
