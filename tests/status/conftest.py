"""The command line before the real Worker, which listens on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from harness.status import Status, at
from harness.status_world import TOKEN, World, start_status
from harness.workerd import Host
from status.cli import main


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def page(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Status]:
    """The status Worker with empty stores, at a moment that stands still; the environment names it and an operator."""
    world = World()
    with world.serving() as address:
        monkeypatch.setenv("STATUS_URL", start_status(host, address, CLOCK=at(0)))
        monkeypatch.setenv("STATUS_TOKEN", TOKEN)
        yield Status(host, world)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line as a shell would, in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> Ran:
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run
