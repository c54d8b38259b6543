"""Staging as live machines: deployment, authentication between machines, changes, faults and failover."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.machines import inventory, prerequisites
from sandbox.machines.processes import Group
from tests.components.project import Project
from tests.sandbox.machines.edge import API, BACKUPS, STATUS, complete_runs, fetch, health, report, wait_until
from tests.sandbox.machines.faults import FAULTS, Fault
from tests.sandbox.machines.staging import LIMIT_SECONDS, ROOT, Stack, Writer, remaining

COMMITS = 50  # so many acknowledged commits show that writes go on

MISSING = prerequisites.missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"machines cannot run: {MISSING}")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("live")
    made = Stack(folder / "home", Project.copy(folder))
    try:
        print(f"staging is up after {made.up():.1f} s")
        yield made
    finally:
        done = made.sandbox("destroy")
        assert done.returncode == 0, done.stdout + done.stderr
        assert remaining(made.place) == []


@pytest.mark.long
def test_every_machine_runs_and_patroni_logs_no_error(stack: Stack):
    assert stack.sandbox("status").returncode == 0
    for name in ("coordinator-0", "coordinator-1"):
        journal = stack.sandbox("logs", name, "--", "--unit=patroni").stdout
        assert "the leader with the lock" in journal or "following a leader" in journal
        assert "Traceback" not in journal


@pytest.mark.long
def test_the_workers_answer_and_the_api_reaches_the_database(stack: Stack):
    ok = {"edge": "ok", "database": "ok", "replication": "ok", "objectStorage": "ok"}
    wait_until(lambda: ok.items() <= health(stack).items(), stack)
    status, page = fetch(stack, STATUS, "")
    assert (status, "Backbuild" in page) == (200, True)
    assert fetch(stack, BACKUPS, "report.json")[0] == 401
    assert fetch(stack, API, "unknown")[0] == 404


@pytest.mark.long
def test_a_machine_reads_the_secrets_of_its_role_only(stack: Stack):
    read = ". /etc/default/backbuild; $SECRETS_COMMAND backbuild-staging/database/application"
    assert stack.secret("application") in stack.sandbox("ssh", "worker-1-0", "--", "sh", "-c", read).stdout
    refused = stack.sandbox("ssh", "gateway-0", "--", "sh", "-c", read)
    assert refused.returncode == 1
    assert "AccessDeniedException" in refused.stderr
    assert "backbuild-staging-gateway of gateway-0 may not secretsmanager:GetSecretValue" in refused.stderr


@pytest.mark.long
def test_a_machine_reaches_what_the_security_groups_admit_only(stack: Stack):
    def answers(source: str, target: str, port: int) -> bool:
        connect = f"</dev/tcp/{stack.instance(target).address}/{port}"
        done = stack.sandbox("ssh", source, "--", "timeout", "5", "bash", "-c", connect)
        assert done.returncode in {0, 124}, done.stderr  # 124: no answer in time
        return done.returncode == 0

    assert answers("coordinator-0", "consensus-0", 2379)
    assert answers("gateway-0", "coordinator-0", 8008)
    assert not answers("gateway-0", "consensus-0", 2379)
    assert not answers("gateway-0", "worker-1-0", 8008)


TLS = "--cacert /run/backbuild/tls/authorities.pem"
OWN = f"{TLS} --cert /run/backbuild/tls/certificate.pem --key /run/backbuild/tls/key.pem"


@pytest.mark.long
def test_services_refuse_a_client_without_a_certificate(stack: Stack):
    for source, target, port in (("coordinator-0", "consensus-0", 2379), ("gateway-0", "coordinator-0", 8008)):
        url = f"https://{stack.instance(target).address}:{port}/health"
        assert stack.shell(source, f"curl -s {OWN} {url}").returncode == 0
        # curl's errors for sending and receiving: the server has closed the TLS connection.
        assert stack.shell(source, f"curl -s {TLS} {url}").returncode in {55, 56}
        assert stack.shell(source, f"curl -s {url.replace('https', 'http')}").returncode != 0


@pytest.mark.long
def test_a_gateway_cannot_change_the_cluster(stack: Stack):
    """A change of Patroni's settings can run any command on a database machine."""
    url = f"https://{stack.instance('coordinator-0').address}:8008"
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' {OWN}"
    assert stack.shell("gateway-0", f"{ask} {url}/cluster").stdout == "200"
    for change in ("-X PATCH -d '{\"loop_wait\": 5}' %s/config", "-X POST %s/reload", "-X POST %s/restart"):
        assert stack.shell("gateway-0", f"{ask} {change % url}").stdout == "401"


@pytest.mark.long
def test_etcd_serves_patroni_its_own_keys_only(stack: Stack):
    read = (
        ". /etc/default/backbuild; "
        "export ETCDCTL_USER=$(cat /run/backbuild/secrets/consensus); "
        "etcdctl --endpoints=$ENDPOINTS get --prefix --keys-only %s"
    )
    assert "/leader" in stack.shell("consensus-0", read % "/backbuild-staging/").stdout
    refused = stack.shell("consensus-0", read % "/another/")
    assert refused.returncode != 0
    assert "permission denied" in refused.stderr


@pytest.mark.long
def test_database_machines_show_certificates_instead_of_passwords(stack: Stack):
    host = stack.instance("coordinator-0").address
    login = (
        f"runuser -u postgres -- psql -XAt 'host={host} dbname=backbuild user=%s sslmode=verify-full "
        "sslrootcert=/run/backbuild/tls/authorities.pem %s' -c 'SELECT current_user' 2>&1"
    )
    for role in ("postgres", "application", "replicator"):
        assert stack.shell("worker-1-0", login % (role, "")).stdout == f"{role}\n"
    refused = stack.shell("worker-1-0", login % ("postgres", "sslcert=/none sslkey=/none"))
    assert "connection requires a valid client certificate" in refused.stdout
    assert stack.shell("worker-1-0", "ls -A /var/lib/postgresql").stdout.split() == [".postgresql"]  # no .pgpass


@pytest.mark.long
def test_root_writes_nothing_for_the_user_postgres(stack: Stack):
    """Root must not follow links that postgres has put in its home, or beside its secrets."""
    home = "/var/lib/postgresql/.postgresql"
    configure = "/usr/local/lib/backbuild/patroni-configure"
    linked = f"rm -rf {home}; runuser -u postgres -- ln -s /usr/local/sbin {home}; {configure}"
    assert "Permission denied" in stack.shell("coordinator-1", linked).stderr
    assert stack.shell("coordinator-1", "stat -c '%U %a' /usr/local/sbin").stdout == "root 755\n"
    restored = f"rm {home}; {configure} && ls {home}"
    assert stack.shell("coordinator-1", restored).stdout.split() == ["postgresql.crt", "postgresql.key"]
    folders = "/run/backbuild/tls/. /run/backbuild/patroni /run/backbuild/pgbackrest /run/backbuild/secrets"
    for folder in folders.split():
        refused = stack.shell("coordinator-1", f"runuser -u postgres -- touch {folder}/link")
        assert "Permission denied" in refused.stderr


GUIDE = ROOT / "docs/runbooks/day-2.md"
BLOCKS = re.findall(r"^```sh ([\w-]+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.live
@pytest.mark.parametrize(("place", "commands"), BLOCKS, ids=[f"{n}-{place}" for n, (place, _) in enumerate(BLOCKS)])
def test_the_commands_of_the_day_2_runbook_succeed(stack: Stack, place: str, commands: str):
    members = {stack.leads(name): name for name in ("coordinator-0", "coordinator-1")}
    every = [one.name for one in stack.instances()]
    names = {"leader": [members[True]], "standby": [members[False]], "every": every}.get(place, [place])
    for name in names:
        done = stack.shell(name, f"set -e\n{commands}")
        assert done.returncode == 0, done.stdout + done.stderr
    if place == "leader":
        assert not stack.leads(members[True])
    assert all(stack.shell(name, "backbuild-healthy --wait 600").returncode == 0 for name in members.values())


@pytest.mark.live
def test_an_authority_is_replaced_while_clients_write(stack: Stack, tmp_path: Path):
    writer = Writer(stack, tmp_path / "acknowledged")
    process = writer.start()
    try:
        writer.wait_for(COMMITS)
        for authorities in (["first", "second"], ["second", "first"], ["second"]):
            stack.up(certificateAuthorities=authorities)
            stack.apply_secrets()
            writer.wait_for(len(writer.acknowledged()) + COMMITS)
    finally:
        process.kill()
        process.wait()
    assert writer.lost() == set()
    for one in stack.instances():
        issuer = "openssl x509 -noout -issuer -in /run/backbuild/tls/certificate.pem"
        assert "machines, second" in stack.shell(one.name, issuer).stdout
        assert stack.shell(one.name, "grep -c BEGIN /run/backbuild/tls/authorities.pem").stdout == "1\n"
        assert stack.shell(one.name, "backbuild-healthy --wait 120").returncode == 0
    print(f"{len(writer.acknowledged())} commits; writes stalled for {writer.stall():.1f} s")


@pytest.mark.live
def test_a_worker_group_is_added_and_no_machine_is_replaced(stack: Stack):
    before = {one.name: one.id for one in stack.instances()}
    stack.up(**{"workers.groups": 2})
    after = {one.name: one.id for one in stack.instances()}
    assert after.keys() - before.keys() == {"worker-2-0", "worker-2-1"}
    assert before.items() <= after.items()
    stack.apply_secrets()  # the workers' certificate has new addresses
    assert all(stack.shell(name, "backbuild-healthy --wait 120").returncode == 0 for name in after)


@pytest.mark.live
def test_passwords_are_replaced_and_no_leader_changes(stack: Stack, tmp_path: Path):
    before = {name: stack.secret(name) for name in ("application", "patroni", "consensus")}
    leader = next(name for name in ("coordinator-0", "coordinator-1") if stack.leads(name))
    stack.up(passwordGeneration=2)
    stack.apply_secrets()
    assert all(stack.secret(name) != password for name, password in before.items())
    assert Writer(stack, tmp_path / "unused").ask("SELECT 1") == ["1"]  # with the new password
    assert all(stack.shell(one.name, "backbuild-healthy --wait 120").returncode == 0 for one in stack.instances())
    assert stack.leads(leader)

    # A password that was replaced outside of the setting keeps its user.
    other = "printf patroni-2:other >/run/backbuild/secrets/consensus && /usr/local/lib/backbuild/etcd-users"
    assert stack.shell("consensus-0", other).returncode == 0
    stack.apply_secrets()
    assert stack.shell("consensus-0", "/usr/local/lib/backbuild/etcd-users").returncode == 0
    assert all(stack.shell(one.name, "backbuild-healthy --wait 120").returncode == 0 for one in stack.instances())


@pytest.mark.live
def test_a_new_image_rolls_through_all_machines_while_clients_write(stack: Stack, tmp_path: Path):
    before = {one.name: one.id for one in stack.instances()}
    writer = Writer(stack, tmp_path / "acknowledged")
    process = writer.start()  # from a gateway, which is replaced last
    try:
        writer.wait_for(COMMITS)
        duration = stack.up(image="ami-0d1eb4a3c5f6e7b00")
    finally:
        process.kill()
        process.wait()
    assert writer.lost() == set()
    after = {one.name: one.id for one in stack.instances()}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    print(f"rolled in {duration:.1f} s; {len(writer.acknowledged())} commits")
    print(f"writes stalled for {writer.stall():.1f} s")


@pytest.mark.long
def test_a_machine_goes_on_when_a_missing_secret_is_there(stack: Stack):
    def shell(words: str) -> str:
        return stack.sandbox("ssh", "gateway-1", "--", "sh", "-c", words).stdout

    def wait_until(condition: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while "yes" not in shell(f"{condition} && echo yes"):
            assert time.monotonic() < deadline, shell("journalctl --no-pager --lines=30")
            time.sleep(0.5)

    local = "/etc/default/backbuild-local"
    shell(f"cp {local} /root/kept && echo SECRETS_COMMAND=false >>{local}")
    shell("systemctl stop backbuild-tunnel backbuild-secrets; systemctl start --no-block backbuild-tunnel")
    wait_until("journalctl --unit=backbuild-tunnel | grep -q 'Dependency failed'")
    shell(f"mv /root/kept {local}")
    wait_until("systemctl is-active --quiet backbuild-tunnel")
    wait_until("/usr/local/sbin/backbuild-healthy")


@pytest.mark.live
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_machine_reports_the_reason_of_a_fault_and_recovers_after_the_remedy(stack: Stack, fault: Fault):
    standby = next(one for one in ("coordinator-0", "coordinator-1") if not stack.leads(one))
    name = standby if fault.machine == "standby" else fault.machine
    assert stack.shell(name, fault.harm).returncode == 0
    deadline = time.monotonic() + LIMIT_SECONDS
    while fault.reason not in (said := stack.shell(name, "backbuild-healthy").stderr):
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
    mended = stack.shell(name, fault.remedy)
    assert mended.returncode == 0, mended.stderr
    assert stack.shell(name, f"backbuild-healthy --wait {LIMIT_SECONDS // 2}").returncode == 0


@pytest.mark.long
def test_a_lost_leader_loses_no_commit_and_comes_back(stack: Stack, tmp_path: Path):
    writer = Writer(stack, tmp_path / "acknowledged")
    process = writer.start()
    try:
        writer.wait_for(COMMITS)
        (address,) = writer.ask("SELECT host(inet_server_addr())")
        leader = inventory.read(stack.place.store).at(address)
        assert leader is not None
        assert leader.name.startswith("coordinator-")

        assert stack.sandbox("kill", leader.name).returncode == 0
        before = writer.acknowledged()
        writer.wait_for(len(before) + COMMITS)
    finally:
        process.kill()
        process.wait()

    assert writer.lost() == set()
    (address,) = writer.ask("SELECT host(inet_server_addr())")
    assert address != leader.address
    # The killed machine boots again with its volume, and its gate passes: it streams, and may be promoted.
    assert stack.sandbox("status").returncode == 1
    again = stack.up()
    assert stack.sandbox("status").returncode == 0
    print(f"{len(writer.acknowledged())} commits; writes stalled for {writer.stall():.1f} s")
    print(f"redundant again after {again:.1f} s of up")


@pytest.mark.long
def test_archiving_goes_on_after_a_file_that_is_archived_again(stack: Stack):
    """As after a crash between an upload and PostgreSQL's note of it. The bucket's lock forbids a second upload."""
    leader = next(name for name in ("coordinator-0", "coordinator-1") if stack.leads(name))
    psql = "runuser -u postgres -- psql -XAtqc"
    where = "cd /var/lib/backbuild/postgresql/17/pg_wal/archive_status"
    # The leader has been promoted, so it archives its timeline's history. pgBackRest's own note of that is deleted.
    wait_until(lambda: stack.shell(leader, f"{where} && ls *.history.done").returncode == 0, stack)
    forget = "find /var/lib/backbuild/spool/archive -name '*.history.*' -delete"
    again = "for file in *.history.done; do mv $file ${file%.done}.ready; done"
    done = stack.shell(leader, f"{forget}; {where} && {again}")
    assert done.returncode == 0, done.stderr
    segment = stack.shell(leader, f"{psql} 'SELECT pg_walfile_name(pg_switch_wal())'").stdout.strip()
    later = f"{psql} \"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver\""
    wait_until(lambda: stack.shell(leader, later).stdout.strip() == "t", stack)
    assert stack.shell(leader, f"{where} && ls *.history.done").returncode == 0
    assert "ObjectLockedByBucketPolicy" in stack.sandbox("logs", leader, "--", "--unit=patroni").stdout


@pytest.mark.live
def test_a_backup_is_verified_in_every_copy(stack: Stack):
    """The machines write to R2, its events start the replication, and the Workers verify the bytes of each copy."""
    before = complete_runs(stack)
    for name in ("coordinator-0", "coordinator-1"):  # the one that does not lead does nothing
        assert stack.shell(name, "systemctl start backbuild-backup@incr").returncode == 0
    wait_until(lambda: "coordinator" in {group for group, _ in complete_runs(stack) - before}, stack)
    assert [one for one in report(stack)["findings"] if one["kind"] == "damaged"] == []


@pytest.mark.live
def test_the_edge_starts_again_with_everything_that_it_stored(stack: Stack):
    before = wait_until(lambda: complete_runs(stack), stack)
    Group(f"{stack.place.prefix}/edge").kill()
    assert fetch(stack, API, "health")[0] == 503
    stack.up()
    assert before <= complete_runs(stack)
    wait_until(lambda: health(stack).get("database") == "ok", stack)


@pytest.mark.live
def test_the_api_reaches_the_database_through_the_other_gateway(stack: Stack):
    assert stack.sandbox("kill", "gateway-0").returncode == 0
    wait_until(lambda: health(stack).get("database") == "ok", stack)
    for _ in range(10):
        time.sleep(1)  # longer than the API keeps its report
        assert health(stack).get("database") == "ok"
    stack.up()


@pytest.mark.live
def test_a_zone_without_network_loses_no_commit_and_comes_back(stack: Stack):
    done = stack.module("drills.failover", "--runs", "1", "--only", "partition: zone")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
