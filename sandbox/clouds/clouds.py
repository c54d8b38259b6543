"""Opens the simulated clouds: one store of objects, and one provider for each package."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sandbox.clouds import aws, cloudflare, random, tls
from sandbox.clouds.cloud import Clock, Cloud
from sandbox.clouds.follower import Follower, Nobody
from sandbox.clouds.schema import CACHE, Schema
from sandbox.clouds.store import CloudObject, Objects, decode, encode
from sandbox.ledger import Ledger
from sandbox.provider import ProviderError

PACKAGES = {package.name: package for package in (aws.PACKAGE, cloudflare.PACKAGE, random.PACKAGE, tls.PACKAGE)}


class Clouds:
    """All simulated clouds on one store, with an unconfigured provider for each."""

    packages: tuple[str, ...] = tuple(PACKAGES)

    def __init__(self, ledger: Ledger, cache: Path, clock: Clock) -> None:
        self._objects: Objects = Objects(ledger, PACKAGES.values())
        self._lock: threading.RLock = threading.RLock()
        self._cache: Path = cache
        self._clock: Clock = clock
        self._schemas: dict[str, Schema] = {}
        self._follower: Follower = Nobody()

    def follow(self, follower: Follower) -> None:
        """Tell `follower` of each operation of the providers that are requested from now on."""
        self._follower = follower

    def objects(self) -> list[CloudObject]:
        """Return the existing objects."""
        with self._lock:
            return list(self._objects.existing.things.values())

    def provider(self, package: str, version: str = "") -> Cloud:
        """Return the unconfigured provider of a package, with the schema of the installed SDK.

        `version` is the version that the program requests. Raise a `ProviderError` if it is not the installed SDK's
        version, or if the package is not simulated.
        """
        if package not in PACKAGES:
            raise ProviderError(f"package {package!r} is not simulated; available packages: {', '.join(PACKAGES)}")
        schema = self._schemas.get(package)
        if schema is None:
            schema = self._schemas[package] = Schema(package, self._cache)
        if version and version != schema.version:
            raise ProviderError(
                f"{package} {version} is not simulated: pulumi_{package} {schema.version} is installed; "
                "install the version that the program asks for"
            )
        return Cloud(PACKAGES[package], schema, self._objects, self._lock, self._follower, self._clock)

    def forget_plans(self) -> None:
        """Remove all planned objects, at the beginning of a preview, so that their names are free."""
        self._objects.forget_plans()

    def save_schemas(self) -> None:
        """Save the schemas that were read from the SDKs, for the next run."""
        for schema in self._schemas.values():
            schema.save()


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def open_clouds(store: Path, *, readonly: bool = False, cache: Path = CACHE, clock: Clock = _now) -> Generator[Clouds]:
    """Open the clouds whose objects are in `store`, a readable JSON document.

    Raise a `sandbox.ledger.CorruptError`, which names the file and the last good copy, if it cannot be read. Only one
    process at a time may open a store, unless `readonly`. `cache` is the folder of the SDK schemas. `clock` returns
    the time from which the validity of certificates is counted.
    """
    with Ledger(store, decode=decode, encode=encode, readonly=readonly) as ledger:
        clouds = Clouds(ledger, cache, clock)
        try:
            yield clouds
        finally:
            clouds.save_schemas()
