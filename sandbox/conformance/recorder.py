"""Simulated clouds that record an engine's calls that change objects, in the order of completion."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.clouds.server import Clouds, OpenClouds
from sandbox.provider import Checked, Difference, Found, Provider
from sandbox.values import Properties


@dataclass(frozen=True)
class Call:
    """One change of one object: `create`, `update` or `delete`."""

    op: str
    urn: str


@dataclass
class Calls:
    """The calls of one run. `before` is called with each call before it reaches the cloud."""

    made: list[Call] = field(default_factory=list[Call])
    before: Callable[[Call], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, op: str, urn: str) -> Call:
        """Run `before` with a new call, and return the call."""
        call = Call(op, urn)
        if self.before is not None:
            self.before(call)
        return call

    def end(self, call: Call) -> None:
        """Record a call that the cloud has completed."""
        with self._lock:
            self.made.append(call)

    def take(self) -> list[Call]:
        """Return and clear the recorded calls."""
        with self._lock:
            taken, self.made = self.made, []
        return taken


class Recorder:
    """A provider that forwards every call and records changes."""

    def __init__(self, provider: Provider, calls: Calls) -> None:
        self._provider: Provider = provider
        self._calls: Calls = calls
        self.package: str = provider.package
        self.version: str = provider.version

    def check_config(self, urn: str, inputs: Properties) -> Checked:
        """Forward."""
        return self._provider.check_config(urn, inputs)

    def configure(self, inputs: Properties) -> Recorder:
        """Return the configured provider with recording."""
        return Recorder(self._provider.configure(inputs), self._calls)

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, seed: bytes) -> Checked:
        """Forward."""
        return self._provider.check(urn, type, olds, news, seed)

    def diff(self, type: str, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Difference:
        """Forward."""
        return self._provider.diff(type, id, old_inputs, old_outputs, news)

    def create(self, urn: str, type: str, inputs: Properties, preview: bool) -> tuple[str, Properties]:
        """Forward and record."""
        if preview:
            return self._provider.create(urn, type, inputs, preview)
        call = self._calls.begin("create", urn)
        made = self._provider.create(urn, type, inputs, preview)
        self._calls.end(call)
        return made

    def update(
        self, urn: str, type: str, id: str, old_outputs: Properties, news: Properties, preview: bool
    ) -> Properties:
        """Forward and record."""
        if preview:
            return self._provider.update(urn, type, id, old_outputs, news, preview)
        call = self._calls.begin("update", urn)
        outputs = self._provider.update(urn, type, id, old_outputs, news, preview)
        self._calls.end(call)
        return outputs

    def read(self, urn: str, type: str, id: str, inputs: Properties) -> Found | None:
        """Forward."""
        return self._provider.read(urn, type, id, inputs)

    def delete(self, urn: str, type: str, id: str) -> None:
        """Forward and record."""
        call = self._calls.begin("delete", urn)
        self._provider.delete(urn, type, id)
        self._calls.end(call)

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Forward."""
        return self._provider.invoke(token, arguments)

    def find_by_urn(self, urn: str, type: str) -> str | None:
        """Forward; the sandbox's engine calls this method after an interruption."""
        return self._provider.find_by_urn(urn, type)  # type: ignore[attr-defined]


class RecordedClouds:
    """Clouds whose providers are recorded."""

    def __init__(self, clouds: Clouds, calls: Calls) -> None:
        self._clouds: Clouds = clouds
        self._calls: Calls = calls
        self.packages: tuple[str, ...] = clouds.packages

    def provider(self, package: str, version: str = "") -> Recorder:
        """Return the provider of a package with recording."""
        return Recorder(self._clouds.provider(package, version), self._calls)

    def forget_plans(self) -> None:
        """Forward."""
        self._clouds.forget_plans()


def recorded(opener: OpenClouds, calls: Calls) -> OpenClouds:
    """Return an opener of the same clouds that records every change in `calls`."""

    @contextmanager
    def opened(store: Path, *, readonly: bool = False) -> Generator[RecordedClouds]:
        with opener(store, readonly=readonly) as clouds:
            yield RecordedClouds(clouds, calls)

    return opened
