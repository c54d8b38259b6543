"""Opens the simulated clouds: one store of objects, one provider a package."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sandbox.clouds import aws, cloudflare, random
from sandbox.clouds.cloud import Cloud
from sandbox.clouds.schema import CACHE, Schema
from sandbox.clouds.store import Objects, decode, encode
from sandbox.ledger import Ledger
from sandbox.provider import ProviderError

PACKAGES = {package.name: package for package in (aws.PACKAGE, cloudflare.PACKAGE, random.PACKAGE)}


class Clouds:
    """All simulated clouds over one store; a provider of each is ready to be configured."""

    packages: tuple[str, ...] = tuple(PACKAGES)

    def __init__(self, ledger: Ledger, cache: Path) -> None:
        self._objects: Objects = Objects(ledger, PACKAGES.values())
        self._lock: threading.RLock = threading.RLock()
        self._cache: Path = cache
        self._schemas: dict[str, Schema] = {}

    def provider(self, package: str, version: str = "") -> Cloud:
        """The provider of a package, not configured yet; what it knows is what the installed SDK says.

        `version` is what the program asks for: another one than the installed SDK's cannot be simulated. Raises
        `ProviderError` for it, and for a package that is not one of `packages`.
        """
        if package not in PACKAGES:
            raise ProviderError(f"package {package!r} is not simulated; the sandbox has {', '.join(PACKAGES)}")
        schema = self._schemas.get(package)
        if schema is None:
            schema = self._schemas[package] = Schema(package, self._cache)
        if version and version != schema.version:
            raise ProviderError(
                f"{package} {version} is not simulated: pulumi_{package} {schema.version} is installed; "
                "install the version that the program asks for"
            )
        return Cloud(PACKAGES[package], schema, self._objects, self._lock)

    def forget_plans(self) -> None:
        """Begin another preview: what an earlier one planned no longer holds names."""
        self._objects.forget_plans()

    def save_schemas(self) -> None:
        """Keep what was learnt about the SDKs, for the next run."""
        for schema in self._schemas.values():
            schema.save()


@contextmanager
def open_clouds(store: Path, *, readonly: bool = False, cache: Path = CACHE) -> Generator[Clouds]:
    """The clouds whose objects are kept at `store`, one readable JSON document.

    Raises `sandbox.ledger.CorruptError`, which names the file and the last good copy, when it cannot be read. Only one
    process at a time may open a store, unless `readonly`. `cache` is where SDK schemas are kept.
    """
    with Ledger(store, decode=decode, encode=encode, readonly=readonly) as ledger:
        clouds = Clouds(ledger, cache)
        try:
            yield clouds
        finally:
            clouds.save_schemas()
