"""Received webhooks, their signatures, and the secrets that tests sign them with."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import dataclass
from typing import Any

WEBHOOK_KEY = "the key that webhook secrets are derived from"
ALARM_SECRET = f"whsec_{base64.b64encode(b'what alarms are signed with').decode()}"


@dataclass(frozen=True)
class Hook:
    """A received webhook."""

    host: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        """Return the message's id, which is the same for every attempt."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """Return the parsed body."""
        return json.loads(self.body)

    def signed_for(self, contact: str) -> bool:
        """Whether the webhook has exactly one signature, with the contact's first secret."""
        secret = hmac.digest(WEBHOOK_KEY.encode(), f"webhook:{contact}".encode(), "sha256")
        return self.signed_with(f"whsec_{base64.b64encode(secret).decode()}") == [True]

    def signed_with(self, secret: str) -> list[bool]:
        """Return for each signature whether it was made with `secret`."""
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.{self.body}"
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = "v1," + base64.b64encode(hmac.digest(key, signed.encode(), "sha256")).decode()
        return [hmac.compare_digest(given, expected) for given in self.headers["webhook-signature"].split(" ")]
