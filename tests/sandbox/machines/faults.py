"""Faults of single machines: commands that cause a fault, the reason that the health check reports, and the remedy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`machine` is a name, or `standby`: the coordinator group's standby. `harm` and `remedy` are shell commands."""

    machine: str
    harm: str
    reason: str
    remedy: str


FAULTS = {
    "full volume": Fault(
        machine="standby",
        harm="""
            . /etc/default/backbuild
            fallocate --length "$(df --output=avail --block-size=1 "$DATA" | tail -n 1)" "$DATA/filler" || true
            cat /dev/zero >>"$DATA/filler" || true
        """,
        reason="the data volume is full",
        remedy="rm /var/lib/backbuild/filler",
    ),
    "data of another cluster": Fault(
        machine="standby",
        harm="""
            set -e
            systemctl stop patroni
            cd /var/lib/backbuild/postgresql
            mv 17 kept
            runuser -u postgres -- /usr/lib/postgresql/17/bin/initdb --pgdata="$PWD/17"
            systemctl start --no-block patroni
        """,
        reason="system ID mismatch",
        remedy="""
            set -e
            systemctl stop patroni
            cd /var/lib/backbuild/postgresql
            rm -rf 17
            mv kept 17
            systemctl start --no-block patroni
        """,
    ),
    "etcd member with stale data": Fault(
        machine="consensus-2",
        harm="""
            set -e
            . /etc/default/backbuild
            systemctl stop etcd
            id=$(etcdctl --endpoints="$ENDPOINTS" member list | awk -F', ' '$3 == "consensus-2" { print $1 }')
            etcdctl --endpoints="$ENDPOINTS" member remove "$id"
            systemctl start --no-block etcd
        """,
        reason="etcd.service does not run: ",
        remedy="""
            set -e
            systemctl stop etcd
            rm -r /var/lib/backbuild/etcd
            systemctl start etcd
        """,
    ),
}
