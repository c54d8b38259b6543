"""Settings that failover, backups and encryption depend on, in the files of coordinators and Citus workers."""

import configparser
import ipaddress
import json
from dataclasses import dataclass

import pytest
import yaml

from harness.stacks import contents, members, topology_of
from model.topology import Group, Member, Topology


@dataclass(frozen=True)
class Machine:
    topology: Topology
    group: Group
    one: Member

    @property
    def files(self) -> dict[str, str]:
        return contents(self.topology, self.one)

    @property
    def patroni(self) -> dict:
        return yaml.safe_load(self.files["/etc/backbuild/patroni.yml"])


MACHINES = [
    Machine(topology, group, one)
    for topology in (topology_of("prod"), topology_of("staging"))
    for group, one in members(topology)
    if group.citus_group is not None
]
every_database_member = pytest.mark.parametrize(
    "machine", [pytest.param(machine, id=f"{machine.topology.stack}-{machine.one.name}") for machine in MACHINES]
)


@every_database_member
def test_the_leader_lease_outlives_a_slow_etcd(machine: Machine):
    shared = machine.patroni["bootstrap"]["dcs"]
    assert shared["loop_wait"] + 2 * shared["retry_timeout"] <= shared["ttl"]


@every_database_member
def test_replication_is_synchronous_and_strict_from_three_members_up(machine: Machine):
    shared = machine.patroni["bootstrap"]["dcs"]
    assert shared["synchronous_mode"] == "quorum"
    assert shared["synchronous_mode_strict"] is (len(machine.group.members) >= 3)
    assert shared["failsafe_mode"] is True
    assert shared["primary_start_timeout"] == 0
    assert shared["postgresql"]["parameters"]["summarize_wal"] == "off"
    assert shared["postgresql"]["parameters"]["archive_timeout"] == "60s"


@every_database_member
def test_a_leader_ends_replication_to_a_dead_standby_within_seconds(machine: Machine):
    """Commits wait for a dead standby until its connection ends. A living standby reports several times before that."""
    parameters = machine.patroni["bootstrap"]["dcs"]["postgresql"]["parameters"]
    assert parameters["wal_sender_timeout"] == "2500ms"
    assert parameters["wal_receiver_status_interval"] == "1s"


@every_database_member
def test_check_timeline_has_the_pg_hba_line_it_needs(machine: Machine):
    rendered = machine.patroni
    assert rendered["bootstrap"]["dcs"]["check_timeline"] is True
    assert rendered["postgresql"]["use_unix_socket_repl"] is True
    assert rendered["postgresql"]["pg_hba"][0] == "local replication replicator peer map=machines"


@every_database_member
def test_remote_connections_are_encrypted_and_come_from_the_data_subnets(machine: Machine):
    lines = [line.split() for line in machine.patroni["postgresql"]["pg_hba"]]
    remote = [line for line in lines if line[0] != "local" and line[3] != "127.0.0.1/32"]
    assert {line[0] for line in remote} == {"hostssl"}
    gateways, machines = set(machine.topology.gateway_cidrs), {zone.data_cidr for zone in machine.topology.zones}
    assert {line[3] for line in remote} == gateways | machines
    for _, database, role, source, method, *options in remote:
        if source in gateways:
            assert (database, role, method, options) == ("backbuild", "application", "scram-sha-256", [])
        else:
            assert (method, options) == ("cert", ["clientname=DN", "map=machines"])
    assert all(
        ipaddress.ip_address(one.address) in ipaddress.ip_network(machine.topology.gateway_cidrs[one.zone.index])
        for one in machine.topology.gateways.members
    )


@every_database_member
def test_no_machine_authenticates_to_another_with_a_password(machine: Machine):
    rendered = machine.patroni
    assert rendered["restapi"]["verify_client"] == "required"
    assert rendered["etcd3"]["protocol"] == "https"
    for role in ("replication", "rewind"):
        login = rendered["postgresql"]["authentication"][role]
        assert "password" not in login
        assert login["sslmode"] == "verify-full"
    assert rendered["postgresql"]["authentication"]["superuser"] == {"username": "postgres"}
    assert rendered["postgresql"]["pg_ident"] == [
        "machines postgres all",
        'machines "OU=coordinator" all',
        'machines "OU=worker" all',
    ]


@every_database_member
def test_each_group_has_its_own_scope_and_citus_shares_one(machine: Machine):
    files = machine.files
    citus = yaml.safe_load(files["/etc/backbuild/citus.yml"])
    assert machine.patroni["scope"] == machine.group.name
    assert citus["scope"] == machine.topology.prefix
    assert citus["citus"] == {"database": "backbuild", "group": machine.group.citus_group}
    assert citus["postgresql"]["parameters"]["citus.recover_2pc_interval"] == "2s"
    conninfo = citus["postgresql"]["parameters"]["citus.node_conninfo"].split()
    assert {"sslmode=verify-full", "connect_timeout=3", "tcp_user_timeout=5000"} <= set(conninfo)


@every_database_member
def test_patroni_knows_every_etcd_member(machine: Machine):
    hosts = machine.patroni["etcd3"]["hosts"]
    assert hosts == [f"{voter.address}:2379" for voter in machine.topology.consensus.members]


@every_database_member
def test_backups_are_encrypted_and_go_to_the_primary_bucket(machine: Machine):
    files = machine.files
    parsed = configparser.ConfigParser()
    parsed.read_string(files["/etc/pgbackrest/pgbackrest.conf"])
    repository = parsed["global"]
    assert repository["repo1-cipher-type"] == "aes-256-cbc"
    assert repository["repo1-s3-bucket"] == machine.topology.primary.bucket
    assert repository["repo1-s3-endpoint"] == machine.topology.primary.endpoint
    assert repository["repo1-path"] == "/hourly"
    assert all(p.startswith("hourly/") for p in machine.topology.retention[0].expiring)
    assert repository["expire-auto"] == "n"
    assert machine.group.name in parsed.sections()
    database = machine.patroni["postgresql"]
    assert parsed[machine.group.name]["pg1-path"] == database["data_dir"]
    push, _, otherwise = database["parameters"]["archive_command"].partition(" || ")
    assert push == f"pgbackrest --stanza={machine.group.name} archive-push %p"
    assert otherwise == "/usr/local/lib/backbuild/archived %f %p"


@every_database_member
def test_full_backups_are_daily_and_increments_hourly(machine: Machine):
    files = machine.files
    hour = machine.topology.schedules.full_backup_hour
    assert f"OnCalendar=*-*-* {hour:02}:00:00 UTC\n" in files["/etc/systemd/system/backbuild-backup-full.timer"]
    assert "OnCalendar=*-*-* *:30:00 UTC\n" in files["/etc/systemd/system/backbuild-backup-incr.timer"]
    for name, text in files.items():
        if name.endswith(".timer"):
            assert "\nAccuracySec=1s\n" in text, f"{name} may run a minute late, systemd's default"
    points = files["/etc/systemd/system/backbuild-restore-point.timer"]
    assert "OnCalendar=*-*-* *:*:00 UTC\nOnCalendar=*-*-* *:*:30 UTC\n" in points


@every_database_member
def test_dead_connections_end_within_half_a_minute(machine: Machine):
    kernel = machine.files["/etc/sysctl.d/60-backbuild.conf"]
    assert "net.ipv4.tcp_syn_retries = 2\n" in kernel
    assert "net.ipv4.tcp_retries2 = 5\n" in kernel


def test_the_dcs_settings_can_be_serialised_as_json():
    shared = MACHINES[0].patroni["bootstrap"]["dcs"]
    assert json.loads(json.dumps(shared)) == shared


@every_database_member
def test_restore_command_has_a_timeout(machine: Machine):
    command = machine.patroni["postgresql"]["parameters"]["restore_command"]
    assert command == f"timeout 10 pgbackrest --stanza={machine.group.name} archive-get %f %p"
