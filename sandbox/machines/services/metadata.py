"""The instance metadata service, version 2: tokens, the role's temporary keys, tags, place."""

from __future__ import annotations

import hashlib
import hmac
import json

from werkzeug.wrappers import Request, Response

from sandbox.machines.inventory import Instance, Inventory

TOKEN = "/latest/api/token"  # noqa: S105 (a path)
KEYS = "iam/security-credentials/"


class Metadata:
    """Answers each instance about itself."""

    def __init__(self, seed: bytes) -> None:
        self._seed: bytes = seed

    def answer(self, request: Request, instance: Instance, inventory: Inventory) -> Response:
        """Answer a request of an instance."""
        if request.path == TOKEN:
            asked = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds")
            return Response(self._digest("token", instance), 200 if request.method == "PUT" and asked else 400)
        if request.headers.get("x-aws-ec2-metadata-token") != self._digest("token", instance):
            return Response("", 401)
        found = self._read(request.path.removeprefix("/latest/").removeprefix("meta-data/"), instance, inventory)
        return Response("", 404) if found is None else Response(found)

    def access_key(self, instance: Instance) -> str:
        """Return the id of the instance's temporary keys."""
        return "ASIA" + self._digest("access", instance)[:16].upper()

    def _read(self, path: str, instance: Instance, inventory: Inventory) -> str | bytes | None:
        role = inventory.role_of(instance)
        if path.startswith("tags/instance/"):
            return instance.tags.get(path.removeprefix("tags/instance/"))
        plain = {
            "instance-id": instance.id,
            "local-ipv4": instance.address,
            "placement/availability-zone": instance.zone,
            "placement/region": instance.region,
            "user-data": instance.user_data,
            KEYS: role,
        }
        if role is not None and path == KEYS + role:
            return json.dumps(
                {
                    "Code": "Success",
                    "Type": "AWS-HMAC",
                    "AccessKeyId": self.access_key(instance),
                    "SecretAccessKey": self._digest("secret", instance)[:40],
                    "Token": self._digest("session", instance),
                    "LastUpdated": "2026-01-01T00:00:00Z",
                    "Expiration": "2099-01-01T00:00:00Z",
                }
            )
        return plain.get(path)

    def _digest(self, purpose: str, instance: Instance) -> str:
        return hmac.new(self._seed, f"{purpose} {instance.id}".encode(), hashlib.sha256).hexdigest()
