"""How tests serve a simulated cloud over HTTP."""

from typing import Any

from werkzeug.serving import WSGIRequestHandler


class Quiet(WSGIRequestHandler):
    """Keeps connections, and its words to itself."""

    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        pass
