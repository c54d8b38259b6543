"""Serves the stand-ins until it is killed: `python -m sandbox.machines.services STORE FOLDER PORT`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from sandbox.edge import plan
from sandbox.machines import inventory
from sandbox.machines.inventory import Inventory
from sandbox.machines.network import INTERNET, METADATA, RESOLVER
from sandbox.machines.services import resolver
from sandbox.machines.services.amazon import Amazon
from sandbox.machines.services.metadata import Metadata
from sandbox.machines.services.offsite import Offsite, keep_large_objects_in
from sandbox.machines.services.vendors import Vendors

PLAN = "x-sandbox-plan"  # the header of the edge's requests for its plan
AMAZON = ("s3", "secretsmanager", "monitoring")


class Services:
    """One application for all hosts."""

    def __init__(self, store: Path, folder: Path) -> None:
        self._store: Path = store
        self._metadata: Metadata = Metadata((folder / "front.pem").read_bytes())
        self._amazon: Amazon = Amazon(folder)
        self._vendors: Vendors = Vendors(folder / "vendors")
        self._offsite: Offsite = Offsite()
        self._read: tuple[object, Inventory] | None = None
        self._planned: tuple[Inventory, bytes] | None = None

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answer a request by its host and its source."""
        request = Request(environ)
        known = self._inventory()
        host = request.host.partition(":")[0]
        if PLAN in request.headers and "x-forwarded-for" not in request.headers:
            return self._plan(request, known)(environ, start)  # for the edge, which does not ask through HAProxy
        if (key := self._offsite.key(request, known)) is not None:
            return self._offsite.answer(host, request, key, known)(environ, start)
        return self._answer(request, host, known)(environ, start)

    def _answer(self, request: Request, host: str, known: Inventory) -> Response:
        source = request.headers.get("x-forwarded-for", "")
        instance = known.at(source)
        service = host.partition(".")[0]
        if instance is None:
            return Response(f"no instance has the address {source}\n", 403)
        if (vendor := self._vendors.answer(request, host)) is not None:
            return vendor
        if host == METADATA:
            return self._metadata.answer(request, instance, known)
        if host != f"{service}.{instance.region}.amazonaws.com" or service not in AMAZON:
            return Response(f"the sandbox has no stand-in for {host}\n", 502)
        if f"={self._metadata.access_key(instance)}/" not in request.headers.get("authorization", ""):
            return Response("the request is not signed with the keys of this instance\n", 403)
        return self._amazon.answer(service, request, instance, known)

    def _plan(self, request: Request, known: Inventory) -> Response:
        """Return what the edge must run, unless it has this plan; compute it again only if the clouds have changed."""
        if self._planned is None or self._planned[0] is not known:
            try:
                self._planned = (known, plan.encoded(plan.plan(known)))
            except plan.UnsupportedError as error:
                return Response(str(error), 501)
        encoded = self._planned[1]
        if request.headers.get("if-none-match") == plan.version(encoded):
            return Response(status=304)
        return Response(encoded, content_type="application/json")

    def _inventory(self) -> Inventory:
        """Return what the clouds contain now; read it again only if it has changed."""
        files = [self._store, self._store.with_suffix(".journal")]
        version = [(found.st_mtime_ns, found.st_size) for file in files if file.exists() and (found := file.stat())]
        if self._read is None or self._read[0] != version:
            self._read = (version, inventory.read(self._store))
        return self._read[1]


def main(store: str, folder: str, port: str) -> None:
    """Serve."""
    names = resolver.server(RESOLVER, INTERNET)
    threading.Thread(target=names.serve_forever, daemon=True).start()

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, code: Any = "-", size: Any = "-") -> None:
            if PLAN not in self.headers:  # the edge asks all the time
                super().log_request(code, size)

    keep_large_objects_in(Path(folder) / "offsite")
    services = Services(Path(store), Path(folder))
    make_server("127.0.0.1", int(port), services, threaded=True, request_handler=Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
