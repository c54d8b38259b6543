"""Weakenings of replication and failover: asynchronous commits, standbys that cannot lead, gateways without leader."""

from __future__ import annotations

from policies.mutation.files import DATABASE, GATEWAY, boot, disable, edit, write
from policies.mutation.operators import Operator
from policies.mutation.weakening import Weakenings
from policies.views.machines import HAPROXY, INSTALL, PATRONI, UNITS
from policies.views.patroni import APPLY, CONFIGURE


def patroni(pattern: str, replacement: str) -> Operator:
    """Change Patroni's configuration."""
    return edit(PATRONI, pattern, replacement)


def setting(line: str) -> Operator:
    """Add a setting to those that Patroni applies to the whole group."""
    return patroni(r"^    ttl: 20", f"    {line}\n    ttl: 20")


def tag(line: str) -> Operator:
    """Add a tag of Patroni to a member."""
    return patroni(r"^restapi:", f"tags: {{{line}}}\nrestapi:")


WEAKENINGS: Weakenings = {
    "commits-are-synchronous": {
        "replication is asynchronous": patroni("synchronous_mode: quorum", "synchronous_mode: false"),
        "commits wait for the leader's disk only": patroni("max_connections: 200", "synchronous_commit: local"),
        "fsync is off": patroni(r"^        max_connections: 200", '        fsync: "off"\n        max_connections: 200'),
        "the machine's own settings do not wait for a standby": edit(
            CONFIGURE, "^  parameters:$", "  parameters:\n    synchronous_commit: local"
        ),
        "the group's settings are others than the file's": edit(
            APPLY, r"^settings=.*$", "settings='{\"synchronous_mode\": false}'"
        ),
        "another script changes the group's settings": write(
            "/usr/local/sbin/x", "patronictl edit-config --force --set synchronous_mode=false\n", DATABASE
        ),
        "another request changes the group's settings": write(
            "/usr/local/sbin/x", "curl -X PATCH -d @/x https://10.20.0.33:8008/config\n", DATABASE
        ),
        "full_page_writes is off": patroni(r'^    ssl: "on"', '    full_page_writes: false\n    ssl: "on"'),
    },
    "commits-wait-in-groups-of-three": {
        "commits do not wait for a standby": patroni("synchronous_mode_strict: true", "synchronous_mode_strict: false"),
    },
    "failsafe-mode": {"failsafe mode is off": patroni("failsafe_mode: true", "failsafe_mode: false")},
    "lease-arithmetic": {
        "the lease is shorter than its renewal": patroni("retry_timeout: 5", "retry_timeout: 10"),
        "the lease is five minutes": patroni("ttl: 20", "ttl: 300"),
    },
    "lost-leaders-rejoin": {
        "a former leader is not rewound": patroni("use_pg_rewind: true", "use_pg_rewind: false"),
        "a former leader that cannot be rewound never starts": patroni(
            "remove_data_directory_on_rewind_failure: true", "remove_data_directory_on_rewind_failure: false"
        ),
        "there are no replication slots": patroni("use_slots: true", "use_slots: false"),
    },
    "failover-needs-nobody": {
        "failover is paused": patroni("failsafe_mode: true", "failsafe_mode: true\n    pause: true"),
        "a standby has the tag nofailover": tag("nofailover: true"),
        "a standby has failover priority 0": tag("failover_priority: 0"),
        "a standby does not stream": tag("nostream: true"),
        "Patroni waits a day for a crashed leader": patroni("primary_start_timeout: 0", "primary_start_timeout: 86400"),
        "Patroni waits its default time for a crashed leader": patroni("^    primary_start_timeout: 0.*\n", ""),
        "the group is a standby of another one": setting("standby_cluster: {host: 192.0.2.1}"),
        "Patroni is not enabled": disable("patroni.service"),
        "the first boot installs nothing": boot(lambda document: document.update(runcmd=[]), DATABASE),
        "the installer enables nothing": edit(INSTALL, r"^systemctl enable .*\n", "", DATABASE),
    },
    "consensus-starts": {
        "etcd is not enabled": disable("etcd.service"),
        "etcd is not restarted": edit(f"{UNITS}/etcd.service.d/backbuild.conf", "Restart=always", "Restart=no"),
    },
    "gateways-follow-the-leader": {
        "a gateway does not know a coordinator": edit(HAPROXY, r"^    server coordinator-1 .*\n", ""),
        "a gateway does not ask for the leader": edit(HAPROXY, "uri /primary", "uri /health"),
        "sessions to a former leader are not closed": edit(HAPROXY, " on-marked-down shutdown-sessions", ""),
        "a gateway has no tunnel connector": disable("backbuild-tunnel.service"),
        "writes go to standbys": edit(HAPROXY, "default_backend leader", "default_backend standbys"),
        "some writes go to standbys": edit(
            HAPROXY, "^(    default_backend leader)$", r"    use_backend standbys if TRUE\n\1"
        ),
        "a comment asks for the leader": edit(HAPROXY, "uri /primary", "uri /health # uri /primary"),
        "a gateway only connects to the leader": edit(HAPROXY, r"^(backend leader\n)    option httpchk\n", r"\1"),
        "a gateway asks PostgreSQL for the leader": edit(
            HAPROXY, r"^(backend leader\n    option httpchk\n)", r"\1    option pgsql-check\n"
        ),
        "a gateway asks another machine for the leader": edit(
            HAPROXY, r"^(backend leader\n    option httpchk\n)", r"\1    http-check connect ssl addr 192.0.2.1\n"
        ),
        "every answer is right": edit(HAPROXY, r"^(backend leader\n)", r"\1    http-check expect rstatus .*\n"),
        "a further file has more settings": write("/etc/haproxy/conf.d/more.cfg", "backend x\n", GATEWAY),
        "HAProxy has more options": write("/etc/default/haproxy", 'EXTRAOPTS="-dV"\n', GATEWAY),
        "a variable has more options of HAProxy": write("/etc/environment", "EXTRAOPTS=-dV\n", GATEWAY),
        "another drop-in of HAProxy's unit": write(
            f"{UNITS}/haproxy.service.d/more.conf", "[Service]\nEnvironment=CONFIG=/tmp/x.cfg\n", GATEWAY
        ),
        "HAProxy's unit has another configuration": edit(
            f"{UNITS}/haproxy.service.d/backbuild.conf", r"^\[Service\]$", "[Service]\nEnvironment=CONFIG=/tmp/x.cfg"
        ),
    },
}
