"""Serves vendors' packages where the vendors do: Amazon's public bucket of its agent, Cloudflare's apt repository."""

from __future__ import annotations

from pathlib import Path

from werkzeug.wrappers import Request, Response

from sandbox.machines.services.certificates import CLOUDFLARED


class Vendors:
    """Serves the files below a folder to everyone."""

    def __init__(self, folder: Path) -> None:
        self._folder: Path = folder.resolve()

    def answer(self, request: Request, host: str) -> Response | None:
        """Return the file that is asked for, or None if the host serves no packages at this path."""
        if host == CLOUDFLARED:
            return self._file(request.path.lstrip("/"))
        agent = "amazon-ssm-agent.deb"
        if host.startswith("s3.") and request.path.startswith("/amazon-ssm-") and request.path.endswith(f"/{agent}"):
            return self._file(agent)
        return None

    def _file(self, path: str) -> Response:
        file = (self._folder / path).resolve()
        if not file.is_relative_to(self._folder) or not file.is_file():
            return Response("", 404)
        return Response(file.read_bytes(), content_type="application/octet-stream")
