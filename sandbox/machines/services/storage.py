"""R2's S3 interface: moto, with the buckets that the simulated Cloudflare has, in memory.

A request must name an API token that exists as its access key. Its signature is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from werkzeug.wrappers import Request, Response

from sandbox.machines.inventory import Inventory
from sandbox.machines.services.certificates import R2

BUCKET = "cloudflare:index/r2Bucket:R2Bucket"
TOKEN = "cloudflare:index/accountToken:AccountToken"  # noqa: S105 (a resource type)
DOMAIN = f".{R2}"
_MOTO_HOST = "s3.us-east-1.amazonaws.com"  # where moto finds the bucket in the path

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Storage:
    """Answers requests to R2's endpoints: `ACCOUNT.r2…` or `ACCOUNT.JURISDICTION.r2…`."""

    def __init__(self) -> None:
        self._moto: Any = create_backend_app("s3")
        self._backend: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]

    def answer(self, host: str, request: Request, inventory: Inventory) -> Wsgi:
        """Return the application that answers a request."""
        key = re.search(r"Credential=([^/]+)/", request.headers.get("authorization", ""))
        if key is None or key[1] not in {one.id for one in inventory.of_type(TOKEN)}:
            return _error(403, "InvalidAccessKeyId", "no API token has this access key")
        name = request.path.removeprefix("/").partition("/")[0]
        if (host.removesuffix(DOMAIN), name) not in _buckets(inventory):
            return _error(404, "NoSuchBucket", f"{host} has no bucket {name}")
        if name not in self._backend.buckets:
            self._backend.create_bucket(name, "us-east-1")
        request.environ["HTTP_HOST"] = _MOTO_HOST
        return self._moto


def _buckets(inventory: Inventory) -> set[tuple[str, str]]:
    """Return the beginning of the endpoint and the name of each bucket."""
    return {
        (_endpoint(one.outputs["accountId"], one.outputs.get("jurisdiction")), str(one.outputs["name"]))
        for one in inventory.of_type(BUCKET)
    }


def _endpoint(account: Any, jurisdiction: Any) -> str:
    return f"{account}.{jurisdiction}" if jurisdiction not in {None, "default"} else str(account)


def _error(status: int, code: str, message: str) -> Wsgi:
    return Response(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>", status, content_type="text/xml")
