"""Files of consensus members and gateways, and files that all machines have."""

import re

import pytest

from harness.stacks import contents, member, members, topology_of
from machines.files import files_for
from model import gates, metrics
from model.topology import Role, Topology

PROD = topology_of("prod")


def variables(text: str) -> dict[str, str]:
    return dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, flags=re.MULTILINE))


@pytest.mark.parametrize("voters", [3, 5, 7])
def test_every_etcd_member_knows_all_members(voters: int):
    topology = topology_of("prod", {"database.consensus.members": voters})
    expected = {f"{one.name}=https://{one.address}:2380" for one in topology.consensus.members}
    for one in topology.consensus.members:
        etcd = variables(contents(topology, one)["/etc/default/etcd"])
        assert set(etcd["ETCD_INITIAL_CLUSTER"].split(",")) == expected
        assert f"{etcd['ETCD_NAME']}={etcd['ETCD_INITIAL_ADVERTISE_PEER_URLS']}" in expected
        assert etcd["ETCD_LISTEN_PEER_URLS"] == f"https://{one.address}:2380"
        assert etcd["ETCD_CLIENT_CERT_AUTH"] == etcd["ETCD_PEER_CLIENT_CERT_AUTH"] == "true"
        assert etcd["ETCD_PEER_CERT_ALLOWED_CN"] == "consensus"


@pytest.mark.parametrize(("voters", "may_wait"), [(3, 1), (5, 2), (7, 3)])
def test_only_a_minority_of_initial_members_may_pass_the_gate_while_waiting(voters: int, may_wait: int):
    topology = topology_of("prod", {"database.consensus.members": voters})
    waiting = 0
    for one in topology.consensus.members:
        known = variables(contents(topology, one)["/etc/default/backbuild"])
        waiting += int(known["INDEX"]) < int(known["FOUNDERS_WAITING"])
    assert waiting == may_wait


def test_gateways_route_to_every_coordinator_and_check_patroni():
    for one in PROD.gateways.members:
        configuration = contents(PROD, one)["/etc/haproxy/haproxy.cfg"]
        for coordinator in PROD.coordinator.members:
            line = f"    server {coordinator.name} {coordinator.address}:5432 check port 8008 check-ssl\n"
            assert configuration.count(line) == 2
        assert "default-server verify required verifyhost coordinator" in configuration
        # Patroni answers OPTIONS without a body; HAProxy ends the check before it has read the body of a GET.
        assert re.findall(r"http-check send meth (.*)", configuration) == [
            "OPTIONS uri /primary",
            "OPTIONS uri /replica?lag=16MB",
        ]
        assert "on-marked-down shutdown-sessions" in configuration


def test_data_services_require_their_volume():
    for name, unit in (("consensus-0", "etcd"), ("coordinator-0", "patroni"), ("worker-2-1", "patroni")):
        drop_in = contents(PROD, member(PROD, name))[f"/etc/systemd/system/{unit}.service.d/backbuild.conf"]
        assert "Requires=backbuild-data-volume.service" in drop_in
        assert "AssertPathIsMountPoint=/var/lib/backbuild" in drop_in


def test_a_service_starts_when_what_it_requires_succeeds_late():
    """systemd cancels the start of a service whose requirement fails at first, and does not repeat it."""
    units = {"volume": "backbuild-data-volume", "secrets": "backbuild-secrets"}
    expected = {
        "consensus-0": ("etcd.service", {"volume", "secrets"}),
        "coordinator-0": ("patroni.service", {"volume", "secrets"}),
        "worker-1-0": ("patroni.service", {"volume", "secrets"}),
        "gateway-0": ("haproxy.service backbuild-tunnel.service", {"secrets"}),
    }
    for name, (services, needed) in expected.items():
        files = contents(PROD, member(PROD, name))
        assert {need for need, unit in units.items() if f"/etc/systemd/system/{unit}.service" in files} == needed
        for need in needed:
            started = f"ExecStartPost=-systemctl start --no-block {services}\n"
            assert started in files[f"/etc/systemd/system/{units[need]}.service"]


def test_only_machines_with_a_volume_mount_one():
    for _, one in members(PROD):
        assert ("/usr/local/sbin/backbuild-data-volume" in contents(PROD, one)) == (one.volume_gib is not None)


def test_each_role_publishes_exactly_its_metrics():
    everywhere, volume = {metrics.HEALTHY}, {metrics.DATA_DISK_USED_PERCENT}
    database = {metrics.REPLICATION_LAG_BYTES, metrics.WAL_WAITING_SECONDS, metrics.BACKUP_AGE_SECONDS}
    database |= {metrics.RESTORE_AGE_SECONDS}
    expected = {
        Role.CONSENSUS: everywhere | volume,
        Role.COORDINATOR: everywhere | volume | database,
        Role.WORKER: everywhere | volume | database,
        Role.GATEWAY: everywhere,
    }
    for _, one in members(PROD):
        script = contents(PROD, one)["/usr/local/sbin/backbuild-metrics"]
        assert set(re.findall(r"^add (\w+)", script, flags=re.MULTILINE)) == expected[one.role]
        assert f"Dimensions=[{{Name={metrics.DIMENSION},Value=$MEMBER}}]" in script


@pytest.mark.parametrize("topology", [PROD, topology_of("staging")], ids=lambda topology: topology.stack)
def test_machines_know_the_names_of_their_own_secrets_only(topology: Topology):
    names = vars(topology.secrets)
    others = {"tunnel_token", "backup_readers", *(field for field in names if "certificate" in field)}
    database = {name for field, name in names.items() if field not in others}
    expected = {
        Role.CONSENSUS: {names["consensus_certificate"], names["consensus"]},
        Role.COORDINATOR: {names["coordinator_certificate"], *database},
        Role.WORKER: {names["worker_certificate"], *database},
        Role.GATEWAY: {names["gateway_certificate"], names["tunnel_token"]},
    }
    for _, one in members(topology):
        text = "\n".join(file.content for file in files_for(topology, one))
        assert {name for name in names.values() if re.search(rf"^{name} ", text, re.MULTILINE)} == expected[one.role]


def test_no_file_contains_the_value_of_a_secret():
    """Each setting of a password, key or token takes its value from the secrets that are fetched at boot."""
    setting = re.compile(r"(?im)^.*?(?<![\w$])[\w-]*(?:password|token|secret|-pass|s3-key)[\w-]*(?:=| ?: )(.*)$")
    given = {
        value
        for _, one in members(PROD)
        for file in files_for(PROD, one)
        for value in setting.findall(file.content)
        if not value.startswith(
            (
                "$(secret ",
                "{secret(",
                "$(cat /run/backbuild/secrets/",
                "${login",
                "$etcd_password",
                "$(printf '%s' \"${login",
                '%s\\n\' "$(cat "$secrets/',
                "\\(.",
                "/run/backbuild/secrets",
                "%d/",
            )
        )
    }
    assert given == {
        "scram-sha-256",  # how passwords are stored
        'keys["secretAccessKey"],',  # fetched at boot
        '"backbuild-prod"',  # etcd's cluster token is a name, not a secret
        '"',  # the list of the secrets' names, on the lines below
        '"python3 /usr/local/lib/backbuild/secret_values.py"',
        'name)["SecretString"]',  # fetched at boot
        'cannot read {name}: {error}; remedy: check the instance profile and that the secret exists"',
        '$name has no value; remedy: store one in Secrets Manager" >&2',
        'an etcd member is not healthy, so etcd goes on with its former secrets; next attempt in an hour" >&2',
        'the certificate of $MEMBER cannot be used: $1; remedy: run \\`pulumi up\\`, which issues another one" >&2',
        # The session token of the instance metadata service.
        '$(curl -fs --max-time 5 -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" $METADATA/api/token) &&',
        '$token" $METADATA/meta-data/tags/instance/DataVolume',
    }


def test_the_gate_command_times_out_before_the_ssm_command():
    program, option, seconds = gates.GATE_COMMAND.split()
    assert option == "--wait"
    assert int(seconds) < gates.GATE_SECONDS
    for _, one in members(PROD):
        assert program in contents(PROD, one)
