"""The HTTP request handler of servers that simulate a cloud."""

from typing import Any

from werkzeug.serving import WSGIRequestHandler


class SilentRequestHandler(WSGIRequestHandler):
    """Keeps connections open (HTTP/1.1) and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""
