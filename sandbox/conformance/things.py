# ruff: noqa: ARG002 (the provider protocol defines the signatures)
"""A simulated cloud with one resource type, for comparing and testing engines. Its package is `fake`.

It keeps objects in a ledger and logs every call.

`Thing` has the inputs `name`, `size`, `tags`, `ref`, `password` (updated in place), `zone` (forces a replacement),
`slot` (forces a replacement that deletes first), `wait` (duration of a create in seconds), `until` (a file that a
create waits for) and `fail` (create and update fail). Its outputs are `address` and `serial`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sandbox.engine import steps
from sandbox.ledger import Ledger
from sandbox.provider import Change, Checked, CheckFailure, Difference, Found, ProviderError
from sandbox.values import UNKNOWN, Properties, holds_unknown

KNOWN: Final = {"name", "size", "tags", "ref", "password", "zone", "slot", "wait", "until", "fail", "region", "refs"}
REPLACES: Final = {"zone", "slot"}


PRELUDE: Final = """
import pulumi
from pulumi import ResourceOptions as Opts


class Thing(pulumi.CustomResource):
    address: pulumi.Output[str]
    serial: pulumi.Output[int]
    password: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(self, resource_name, opts=None, **properties):
        for key in ("address", "serial", "name", "password", "region"):
            properties.setdefault(key, None)
        merged = Opts.merge(Opts(version="1.0.0"), opts)
        super().__init__("fake:index:Thing", resource_name, properties, merged)


class Provider(pulumi.ProviderResource):
    def __init__(self, resource_name, opts=None, **properties):
        super().__init__("fake", resource_name, properties, Opts.merge(Opts(version="1.0.0"), opts))


class Group(pulumi.ComponentResource):
    def __init__(self, resource_name, opts=None):
        super().__init__("test:index:Group", resource_name, {}, opts)


"""
"""The first lines of every program on this cloud."""


class Fake:
    """The provider of package `fake` in one configuration."""

    package: str = "fake"
    version: str = "1.0.0"

    def __init__(self, ledger: Ledger, log: Path, settings: Properties | None = None) -> None:
        self.ledger: Ledger = ledger
        self.log: Path = log
        self.settings: Properties = settings or {}
        self._lock: threading.Lock = threading.Lock()

    def _note(self, *words: object) -> None:
        with self._lock, self.log.open("a") as file:
            file.write(" ".join(map(str, words)) + "\n")

    def check_config(self, urn: str, inputs: Properties) -> Checked:
        """Accept `region` and `token`."""
        unknown = [CheckFailure(key, "no such setting") for key in inputs if key not in {"region", "token", "version"}]
        return Checked(inputs, tuple(unknown))

    def configure(self, inputs: Properties) -> Fake:
        """Return a provider with another configuration and the same objects."""
        return Fake(self.ledger, self.log, inputs)

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, seed: bytes) -> Checked:
        """Fill in a name; reject unknown properties and a `size` above 100."""
        failures = [CheckFailure(key, "no such property") for key in news if key not in KNOWN]
        size = news.get("size")
        if isinstance(size, int) and size > 100:
            failures.append(CheckFailure("size", "must be at most 100"))
        name = news.get("name") or (olds or {}).get("name") or urn.rpartition("::")[2] + "-" + seed.hex()[:7]
        return Checked({**news, "name": name}, tuple(failures))

    def diff(self, type: str, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Difference:
        """Compare inputs. `zone` and `slot` force a replacement; `slot` deletes the old object first."""
        plain = steps.compare(old_inputs, news)
        detail = {
            path: Change(f"{change}-replace") if path.split(".")[0] in REPLACES else change
            for path, change in plain.detail.items()
        }
        return Difference(detail, delete_before_replace="slot" in detail)

    def create(self, urn: str, type: str, inputs: Properties, preview: bool) -> tuple[str, Properties]:
        """Create an object named by its `name`; in a preview, return its expected outputs."""
        if preview:
            return "", {**inputs, "address": UNKNOWN, "serial": UNKNOWN}
        assert not holds_unknown(inputs)
        if inputs.get("fail"):
            self._note("failed", urn.rpartition("::")[2])
            raise ProviderError(f"{urn}: fail: the cloud rejects the call; set fail to False")
        if any(entry["inputs"]["name"] == inputs["name"] for _, entry in self.ledger.items()):
            raise ProviderError(f"{urn}: name: {inputs['name']!r} exists already; choose another")
        id = f"id-{inputs['name']}"
        outputs: dict[str, Any] = {
            **inputs,
            "address": f"address-of-{inputs['name']}",
            "serial": len(str(inputs["name"])),
            "region": self.settings.get("region", ""),
        }
        self.ledger.put(id, {"urn": urn, "type": type, "inputs": inputs, "outputs": outputs})
        time.sleep(float(inputs.get("wait", 0)))  # type: ignore[arg-type]
        while "until" in inputs and not Path(str(inputs["until"])).exists():
            time.sleep(0.01)
        self._note("create", urn.rpartition("::")[2])
        return id, outputs

    def update(
        self, urn: str, type: str, id: str, old_outputs: Properties, news: Properties, preview: bool
    ) -> Properties:
        """Update an object in place."""
        entry = self.ledger.get(id)
        outputs: Properties = {**old_outputs, **news}
        if preview:
            return outputs
        if news.get("fail"):
            raise ProviderError(f"{urn}: fail: the cloud rejects the call; set fail to False")
        assert entry is not None
        self.ledger.put(id, {**entry, "inputs": news, "outputs": outputs})
        self._note("update", urn.rpartition("::")[2])
        return outputs

    def read(self, urn: str, type: str, id: str, inputs: Properties) -> Found | None:
        """Return the current object."""
        entry = self.ledger.get(id)
        return Found(id, dict(entry["inputs"]), dict(entry["outputs"])) if entry else None

    def find_by_urn(self, urn: str, type: str) -> str | None:
        """Return the id of the newest object created for a URN."""
        found = [id for id, entry in self.ledger.items() if entry["urn"] == urn]
        return found[-1] if found else None

    def delete(self, urn: str, type: str, id: str) -> None:
        """Delete an object."""
        self.ledger.remove(id)
        self._note("delete", urn.rpartition("::")[2])

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Call `fake:index:echo`."""
        if token != "fake:index:echo":  # noqa: S105 (a function's token)
            raise ProviderError(f"{token}: no such function")
        return {"said": arguments.get("say"), "region": self.settings.get("region", "")}


class Clouds:
    """The clouds for an engine: only package `fake`."""

    packages: tuple[str, ...] = ("fake",)

    def __init__(self, ledger: Ledger, log: Path) -> None:
        self._fake: Fake = Fake(ledger, log)

    def provider(self, package: str, version: str = "") -> Fake:
        """Return the provider of package `fake`."""
        if package != "fake":
            raise ProviderError(f"package {package!r} is not supported by the sandbox")
        return self._fake

    def forget_plans(self) -> None:
        """Do nothing: this cloud stores no plans."""


@contextmanager
def open_clouds(store: Path, *, readonly: bool = False) -> Generator[Clouds]:
    """Open the cloud whose objects are in `store`; log calls to `calls.log` beside it."""

    def decode(document: dict[str, Any]) -> dict[str, Any]:
        return document["objects"]

    with Ledger(store, decode=decode, encode=lambda entries: {"objects": entries}, readonly=readonly) as ledger:
        yield Clouds(ledger, store.with_name("calls.log"))
