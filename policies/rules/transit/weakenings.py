"""Weakenings of authentication between machines: no TLS, no certificates, or too many permissions."""

from __future__ import annotations

from policies.mutation.files import CONSENSUS, DATABASE, GATEWAY, edit, role, write
from policies.mutation.operators import (
    Operator,
    named,
    put,
)
from policies.mutation.weakening import Weakenings
from policies.rules.transit.rules import DROP_IN, ETCD_TLS, ETCD_URLS, USERS, USERS_UNIT
from policies.views.machines import CITUS, COORDINATOR, ENVIRONMENT, ETCD, HAPROXY, PATRONI, SUBNET, UNITS
from policies.views.patroni import CONFIGURE

CHECK = "/usr/local/lib/backbuild/check"
APPLY = "/usr/local/lib/backbuild/patroni-apply"


def etcd(pattern: str, replacement: str) -> Operator:
    """Change etcd's environment file."""
    return edit(ETCD, pattern, replacement)


def etcd_line(line: str) -> Operator:
    """Add a line to etcd's environment file."""
    return edit(ETCD, r"^(ETCD_NAME=.*)$", rf"\1\n{line}")


def patroni(pattern: str, replacement: str) -> Operator:
    """Change Patroni's configuration."""
    return edit(PATRONI, pattern, replacement)


def rest(line: str) -> Operator:
    """Add a setting of Patroni's REST interface."""
    return patroni(r"^  verify_client: required$", rf"  verify_client: required\n  {line}")


def own_settings(pattern: str, replacement: str) -> Operator:
    """Change the script that adds the machine's own settings to Patroni's."""
    return edit(CONFIGURE, pattern, replacement)


def parameter(line: str) -> Operator:
    """Add a parameter of PostgreSQL."""
    return patroni(r'^    ssl: "on"$', rf'    ssl: "on"\n    {line}')


def hba(line: str) -> Operator:
    """Add a line at the head of pg_hba."""
    return patroni(r"^  pg_hba:$", rf"  pg_hba:\n    - {line}")


def haproxy(pattern: str, replacement: str) -> Operator:
    """Change HAProxy's configuration."""
    return edit(HAPROXY, pattern, replacement)


def default_server(old: str, new: str) -> Operator:
    """Change a keyword of HAProxy's default-server."""
    return haproxy(rf"^(    default-server .*){old}", rf"\1{new}")


def users(pattern: str, replacement: str) -> Operator:
    """Change the script that creates etcd's users."""
    return edit(USERS, pattern, replacement)


WEAKENINGS: Weakenings = {
    "consensus-speaks-mutual-tls": {
        **{f"{name} is without TLS": etcd(rf"^({name}=.*)https:", r"\1http:") for name in ETCD_URLS},
        **{f"{name} is not set": etcd(rf"^{name}=.*\n", "") for name in ETCD_TLS},
        "clients need no certificate": etcd('^ETCD_CLIENT_CERT_AUTH="true"', 'ETCD_CLIENT_CERT_AUTH="false"'),
        "members need no certificate": etcd('^ETCD_PEER_CLIENT_CERT_AUTH="true"', 'ETCD_PEER_CLIENT_CERT_AUTH="false"'),
        "a database machine may be a member": etcd(
            '^ETCD_PEER_CERT_ALLOWED_CN="consensus"', 'ETCD_PEER_CERT_ALLOWED_CN="coordinator"'
        ),
        "any authority is trusted": etcd("^(ETCD_TRUSTED_CA_FILE)=.*", r'\1="/etc/ssl/certs/ca-certificates.crt"'),
        "etcd makes its own certificates": etcd_line('ETCD_AUTO_TLS="true"'),
        "members make their own certificates": etcd_line('ETCD_PEER_AUTO_TLS="true"'),
        "clients have a second address without TLS": etcd_line('ETCD_LISTEN_CLIENT_HTTP_URLS="http://0.0.0.0:2381"'),
        "a line with a space in front overrides one": etcd_line(' ETCD_CLIENT_CERT_AUTH="false"'),
        "etcd has arguments": etcd_line('DAEMON_ARGS="--client-cert-auth=false"'),
        "etcd reads a file of settings": etcd_line('ETCD_CONFIG_FILE="/etc/etcd.yml"'),
        "the drop-in starts etcd with arguments": edit(
            DROP_IN, r"^\[Service\]$", "[Service]\nExecStart=\nExecStart=/usr/bin/etcd --client-cert-auth=false"
        ),
        "the drop-in has another environment": edit(
            DROP_IN, "^EnvironmentFile=.*", "EnvironmentFile=/etc/default/other"
        ),
        "a second drop-in sets a variable": write(
            f"{UNITS}/etcd.service.d/more.conf", "[Service]\nEnvironment=A=b\n", CONSENSUS
        ),
        "a drop-in for all services": write(f"{UNITS}/service.d/more.conf", "[Service]\nEnvironment=A=b\n", CONSENSUS),
        "etcd-join sets a variable": edit(
            "/usr/local/lib/backbuild/etcd-join", "^set -eu$", "set -eu\necho ETCD_AUTO_TLS=true >/run/backbuild/etcd"
        ),
        "etcd-join sets arguments": edit(
            "/usr/local/lib/backbuild/etcd-join",
            r"\Z",
            "echo DAEMON_ARGS=--client-cert-auth=false >>/run/backbuild/etcd\n",
        ),
        "etcd may store little": etcd_line('ETCD_QUOTA_BACKEND_BYTES="16777216"'),
        "etcd's quota is not a number": etcd_line('ETCD_QUOTA_BACKEND_BYTES="-1"'),
    },
    "consensus-limits-its-users": {
        "authentication stays off": users(r"^etcd auth enable\n", ""),
        "authentication is switched off again": users("^(etcd auth enable)$", r"\1\netcd auth disable"),
        "Patroni has the role root": users('grant-role "\\$patroni" patroni', 'grant-role "$patroni" root'),
        "Patroni may read and write all keys": users('--prefix=true "/\\$STACK/"', '--prefix=true ""'),
        "Patroni needs no password": users(
            'user add "\\$patroni" --interactive=false', 'user add "$patroni" --no-password'
        ),
        "gateways have the role root": users("^for user in root consensus;", "for user in root consensus gateway;"),
        "the script goes on after an error": users("^set -eu$", "set -u"),
        "the script goes on after an error in the end": users("^set -eu$", "set -eu\nset +e"),
        "the commands do nothing": users(r"^etcd\(\) .*$", "etcd() { :; }"),
        "the script goes on after an error by its variables": edit(
            ENVIRONMENT, r"^(STACK=.*)$", r"\1\nset +e", CONSENSUS
        ),
        "a function replaces etcdctl": users("^set -eu$", "set -eu\netcdctl() { :; }"),
        "the script ends before its first command": users("^login=", "exit 0\nlogin="),
        "etcd does not start the script": edit(DROP_IN, r"^Wants=.*\n", ""),
        "the unit runs something else": edit(f"{UNITS}/{USERS_UNIT}", "^ExecStart=.*", "ExecStart=/usr/bin/true"),
        "the unit gives up": edit(f"{UNITS}/{USERS_UNIT}", "^Restart=.*", "Restart=no"),
        "the unit is conditional": edit(f"{UNITS}/{USERS_UNIT}", r"^\[Unit\]$", "[Unit]\nConditionPathExists=/none"),
    },
    "failover-requests-authenticate": {
        "clients need a certificate for changes only": patroni("verify_client: required", "verify_client: optional"),
        "clients need no certificate": patroni("verify_client: required", "verify_client: none"),
        "verify_client is not set": patroni(r"^  verify_client: required\n", ""),
        "changes need no password": patroni(r"^  authentication: \{username: patroni\}\n", ""),
        "the password is a known one": own_settings(r"password: \$\(secret patroni\)", "password: known"),
        "the interface has no certificate": own_settings(r"^  certfile: .*\n", ""),
        "the interface has no key": own_settings(r"^  keyfile: .*\n", ""),
        "the interface trusts other authorities": own_settings(
            r"^  cafile: .*", "  cafile: /etc/ssl/certs/ca-certificates.crt"
        ),
        "the machine's own settings need no certificate": own_settings("^restapi:$", "restapi:\n  verify_client: none"),
        "the interface has other ciphers": rest("ciphers: 'NULL'"),
        "requests do not verify": patroni("^ctl:.*", "ctl:\n  insecure: true"),
        "requests have no authorities": patroni(r"^(ctl:.*\n)  cacert: .*\n", r"\1"),
        "requests show no certificate": patroni(r"^(ctl:.*\n.*\n)  certfile: .*\n", r"\1"),
        "requests have no key": patroni(r"^(ctl:.*\n.*\n.*\n)  keyfile: .*\n", r"\1"),
        "Patroni uses another store": patroni("^ctl:", "consul: {host: 192.0.2.1}\nctl:"),
        "Citus's settings need no certificate": edit(CITUS, "^citus:$", "restapi: {verify_client: none}\ncitus:"),
        "another file overrides Patroni's": own_settings(
            r'^(chown .*"\$patroni/30-machine.yml")$', r'\1\necho "restapi: {}" >"$patroni/40-more.yml"'
        ),
        "another script adds a file": write(
            "/usr/local/lib/backbuild/more", "echo 'restapi: {}' >/run/backbuild/patroni/40-more.yml\n", DATABASE
        ),
        "a variable overrides Patroni's files": edit(
            f"{UNITS}/patroni.service.d/backbuild.conf",
            r"^\[Service\]$",
            "[Service]\nEnvironment=PATRONI_RESTAPI_VERIFY_CLIENT=none",
        ),
        "a second drop-in of Patroni's unit": write(
            f"{UNITS}/patroni.service.d/more.conf", "[Service]\nEnvironmentFile=/run/x\n", DATABASE
        ),
    },
    "leases-are-kept-over-tls": {
        "etcd is asked without TLS": patroni("^  protocol: https$", "  protocol: http"),
        "the protocol is not set": patroni(r"^  protocol: https\n", ""),
        "etcd is not verified": patroni(r"^  cacert: (.*\n  cert:)", r"  ca: \1"),
        "Patroni shows etcd no certificate": patroni(r"^  cert: .*\n", ""),
        "Patroni has no key for etcd": patroni(r"^(  cert: .*\n)  key: .*\n", r"\1"),
        "Patroni is no user of etcd": own_settings(r"^  username: \$etcd_user\n", ""),
        "Patroni is another user of etcd": own_settings(r"^  username: \$etcd_user$", "  username: root"),
        "Patroni has no password for etcd": own_settings(r"^  password: \$etcd_password\n", ""),
    },
    "database-nodes-verify-each-other": {
        **{
            f"replication has sslmode {mode}": patroni("sslmode: verify-full", f"sslmode: {mode}")
            for mode in ("verify-ca", "require", "prefer")
        },
        "replication has no authorities": patroni(r"^      sslrootcert: .*\n", ""),
        "replication shows no certificate": patroni(r"^      sslcert: .*\n", ""),
        "replication has no key": patroni(r"^      sslkey: .*\n", ""),
        "replication has a password": patroni(
            "^      username: replicator$", "      username: replicator\n      password: x"
        ),
        "replication is by the superuser": patroni("^      username: replicator$", "      username: postgres"),
        "rewinding does not verify": patroni("{<<: \\*node, username: rewind}", "{username: rewind}"),
        "the superuser has a password": patroni(
            "superuser: {username: postgres}", "superuser: {username: postgres, password: x}"
        ),
        "one more role has a password": patroni(
            "^    superuser: ", "    other: {username: x, password: x}\n    superuser: "
        ),
        "the machine's own settings do not verify": own_settings(
            "^postgresql:$", "postgresql:\n  authentication: {rewind: {sslmode: require}}"
        ),
        **{
            f"Citus has sslmode {mode}": edit(CITUS, "sslmode=verify-full", f"sslmode={mode}")
            for mode in ("verify-ca", "require", "disable")
        },
        "Citus has no authorities": edit(CITUS, r" sslrootcert=\S+", ""),
        "Citus has the system's authorities": edit(CITUS, r" sslrootcert=\S+", " sslrootcert=system"),
        "Citus has two values of sslmode": edit(CITUS, "(sslmode=verify-full)", r"\1 sslmode=require"),
        "Citus prefers another encryption": edit(CITUS, "(sslmode=verify-full)", r"\1 gssencmode=require"),
        "Citus's setting is not declared": edit(CITUS, r"^    citus.node_conninfo: .*\n", ""),
        "Citus has no certificate": own_settings(r"^ln .*postgresql\.crt\n", ""),
        "Citus has no key": own_settings(r"^ln .*postgresql\.key\n", ""),
    },
    "database-admits-known-clients-only": {
        "ssl is off": patroni('^    ssl: "on"', '    ssl: "off"'),
        "a subnet has other addresses than pg_hba admits": put(SUBNET, "cidrBlock", "10.99.0.0/20", named("data")),
        "ssl is not set": patroni(r'^    ssl: "on"\n', ""),
        **{
            f"{name} is not set": patroni(rf"^    {name}: .*\n", "")
            for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file")
        },
        "the system's authorities are trusted": patroni(
            "^    ssl_ca_file: .*", "    ssl_ca_file: /etc/ssl/certs/ca-certificates.crt"
        ),
        "TLS 1.1 is enough": patroni("TLSv1.2", "TLSv1.1"),
        "the least version of TLS is not set": patroni(r"^    ssl_min_protocol_version: .*\n", ""),
        "passwords are stored as MD5": patroni("password_encryption: scram-sha-256", "password_encryption: md5"),
        "another ciphers' list": parameter("ssl_ciphers: ALL"),
        "another file has the rules of access": parameter("hba_file: /etc/postgresql/pg_hba.conf"),
        "another file has the map": parameter("IDENT_FILE: /etc/postgresql/pg_ident.conf"),
        "the machine's own settings switch TLS off": own_settings("^  parameters:$", '  parameters:\n    ssl: "off"'),
        "a custom file overrides the settings": patroni(
            "^  use_unix_socket: true", "  custom_conf: /x\n  use_unix_socket: true"
        ),
        **{
            f"pg_hba has the line `{line}`": hba(line)
            for line in (
                "local all all trust",
                "local all postgres peer",
                "host all all 127.0.0.1/32 trust",
                "host all all 127.0.0.1/32 scram-sha-256",
                "host all all 0.0.0.0/0 scram-sha-256",
                "hostnossl all all 10.20.0.0/20 scram-sha-256",
                "hostssl all all 10.20.0.0/20 scram-sha-256",
                "hostssl backbuild application 10.20.0.0/20 scram-sha-256",
                "hostssl backbuild application 192.0.2.0/24 scram-sha-256",
                "hostssl all application 10.20.0.24/29 scram-sha-256",
                "hostssl backbuild application 10.20.0.24/29 md5",
                "hostssl backbuild application 10.20.0.24/29 password",
                "hostssl backbuild application 10.20.0.24/29 trust",
                "hostssl all all 10.20.0.0/20 cert map=machines",
                "hostssl all all 10.20.0.0/20 cert clientname=DN",
                "hostssl all all 10.20.0.0/20 trust clientcert=verify-ca",
                "hostssl all all 0.0.0.0/0 cert clientname=DN map=machines",
            )
        },
        "pg_hba admits certificates from another network": patroni(
            "^  pg_ident:", "    - hostssl all all 0.0.0.0/0 cert clientname=DN map=machines\n  pg_ident:"
        ),
        "a certificate is not compared": patroni(" cert clientname=DN map=machines$", " trust"),
        "connections need no TLS": patroni("hostssl all all", "host all all"),
        "gateways are not admitted": patroni(r"^    - hostssl backbuild application .*\n", ""),
        "replication is not admitted": patroni(r"^    - hostssl replication replicator .*\n", ""),
        "pg_hba is not set": patroni("^  pg_hba:$", "  other:"),
        "gateways' certificates are mapped": patroni(
            "^(    - machines postgres all)$", r'\1\n    - machines "OU=gateway" all'
        ),
        "every certificate is mapped": patroni('"OU=coordinator"', "/^.*"),
        "another user of the machine is mapped": patroni("machines postgres all", "machines www-data all"),
        "workers are not mapped": patroni(r'^    - machines "OU=worker" all\n?', ""),
    },
    "gateways-verify-the-leader": {
        "a check is without TLS": haproxy(r"^(    server .*) check-ssl$", r"\1"),
        "a server is not verified": haproxy(" check-ssl$", " check-ssl verify none"),
        "a server has another authority": haproxy(" check-ssl$", " check-ssl ca-file /x"),
        **{
            f"a server has the keyword {keyword}": haproxy(" check-ssl$", f" {keyword} check-ssl")
            for keyword in (
                "backup",
                "disabled",
                "addr 192.0.2.1",
                "no-check-ssl",
                "maxconn many",
                "port 80",
                "track x/y",
            )
        },
        "servers are not checked": haproxy(r" check port \d+ check-ssl$", ""),
        "there are no servers": haproxy(r"^    server .*\n", ""),
        "no server is verified": default_server("verify required", "verify none"),
        "the verification is not set": default_server("verify required ", ""),
        "any name is right": default_server(r"verifyhost \S+ ", ""),
        "a gateway's name is right": default_server("verifyhost coordinator", "verifyhost gateway"),
        "the authorities are not set": default_server(r"ca-file \S+ ", ""),
        "the system's authorities are trusted": default_server(r"ca-file \S+", "ca-file @system-ca"),
        "gateways show no certificate": default_server(r" crt \S+", ""),
        "a later line does not verify": haproxy(
            "^(    default-server verify.*)$", r"\1\n    default-server verify none"
        ),
        "a backend does not check with TLS": haproxy("^(backend leader)$", r"\1\n    default-server no-check-ssl"),
        "verification is off in general": haproxy("^(global)$", r"\1\n    ssl-server-verify none"),
    },
    "no-connection-is-unverified": {
        "a check of etcd is without TLS": edit(CHECK, "https://", "http://", CONSENSUS),
        "a request to Patroni is without TLS": edit(APPLY, "https://", "http://"),
        "a request to Patroni does not verify": edit(APPLY, "curl ", "curl --insecure "),
        "a request to Patroni does not verify, in short": edit(APPLY, " -fsS ", " -kfsS "),
        "curl's settings do not verify": own_settings("^(cacert = .*)$", r"\1\ninsecure"),
        "etcdctl does not verify": edit(CHECK, "etcdctl ", "etcdctl --insecure-skip-tls-verify ", CONSENSUS),
        "a download does not verify": write("/etc/cron.daily/x", "wget --no-check-certificate https://x\n"),
        "libpq does not verify": edit(ENVIRONMENT, "^(STACK=.*)$", r"\1\nexport PGSSLMODE=require", DATABASE),
        "a script connects without verification": write("/usr/local/sbin/x", "psql 'sslmode=require host=x'\n"),
        "HAProxy does not verify": edit(HAPROXY, "verify required", "verify none", GATEWAY),
        "an address of a coordinator is without TLS": write(
            "/usr/local/sbin/x", "u=http://10.20.0.33:8008\n", role(COORDINATOR)
        ),
    },
}
