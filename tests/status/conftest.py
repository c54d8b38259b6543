"""Fixtures: the command line, and the real Cloudflare Worker of the status page on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from harness.status import Status, at
from harness.status_world import TOKEN, World, start_status
from harness.workerd import Host
from status.cli import main


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def page(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Status]:
    """The status Worker with empty stores and a fixed clock; the environment holds its URL and an operator's token."""
    world = World()
    with world.serving() as address:
        monkeypatch.setenv("STATUS_URL", start_status(host, address, CLOCK=at(0)))
        monkeypatch.setenv("STATUS_TOKEN", TOKEN)
        yield Status(host, world)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command line, in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> Result:
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run
