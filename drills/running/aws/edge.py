"""The edge of a stack at AWS: the API is asked over the Internet, and Cloudflare's API deletes a Worker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, Never

import httpx

from drills.running.edge import TIMEOUT, Edge
from drills.sites.site import SiteError

if TYPE_CHECKING:
    from drills.running.aws.stage import AwsStage

CLOUDFLARE = "https://api.cloudflare.com/client/v4"
TOKEN = "CLOUDFLARE_API_TOKEN"


class AwsEdge(Edge):
    """The edge of the stage's stack."""

    def __init__(self, stage: AwsStage) -> None:
        super().__init__(stage)
        self._real: AwsStage = stage

    def url(self, hostname: str) -> str:
        """Return the URL of a custom domain."""
        return f"https://{hostname}/"

    def output(self, name: str) -> Never:  # noqa: ARG002
        """Raise `SiteError`: the outputs of the sandbox are those of another stack."""
        self._real.fleet()

    def probe(self) -> None:
        """Begin to ask the API for its health, unless that has begun, and wait until it serves."""
        if self._prober is None:
            super().probe()

    def stop_tunnels(self) -> None:
        """Stop the connector of the tunnel on every gateway."""
        self._real.to_undo["the tunnel's connectors"] = self.start_tunnels
        super().stop_tunnels()

    def start_tunnels(self) -> None:
        """Start the connectors again."""
        super().start_tunnels()
        self._real.to_undo.pop("the tunnel's connectors", None)

    def lose_worker(self, purpose: Literal["api", "status"]) -> None:
        """Delete a Cloudflare Worker with its versions, deployment, routes, domains and schedules."""
        script = f"{self._stage.topology.prefix}-{purpose}"
        token = os.environ.get(TOKEN)
        if not token:
            raise SiteError(
                f"{TOKEN} is not set: the drill deletes the Cloudflare Worker {script} with Pulumi's own token"
            )
        _ = self._real.updates  # what deploys it again must work before it is deleted
        self._real.to_undo["the deployment"] = self._real.rebuild
        self._stage.fault(f"the Cloudflare Worker {script} deleted, with its deployment, routes and schedules")
        account = self._stage.topology.settings.edge.account_id
        try:
            answer = httpx.delete(
                f"{CLOUDFLARE}/accounts/{account}/workers/scripts/{script}",
                params={"force": "true"},  # also if other Workers are bound to it
                headers={"authorization": f"Bearer {token}"},
                timeout=TIMEOUT,
            )
        except httpx.HTTPError as error:
            raise SiteError(f"Cloudflare does not answer: {type(error).__name__}; {script} may be deleted") from None
        if not answer.is_success:
            raise SiteError(
                f"Cloudflare refused to delete {script} with status {answer.status_code}; {TOKEN} must be allowed to "
                "edit Workers"
            )

    def mend(self) -> None:
        """Stop asking the API."""
        if self._prober is not None:
            self._prober.stop()
