"""A Node process that runs Cloudflare Workers in workerd. All traffic stays on the loopback."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.waiting import TIMEOUT_SECONDS
from model.worker_modules import COMPATIBILITY_DATE, COMPATIBILITY_FLAGS, WORKERS, modules_of


def modules(worker: str) -> list[str]:
    """Return the paths below workers/ of a Worker's modules. Its main module, index.js, is the first."""
    main = f"{worker}/index.js"
    return sorted((module.name for module in modules_of(worker)), key=lambda name: (name != main, name))


class Host:
    """A Node process (host.mjs) that runs one Worker, or several with common stores, at a time."""

    def __init__(self) -> None:
        if not (WORKERS / "node_modules").is_dir():
            raise FileNotFoundError("workers/node_modules is missing; remedy: run `make test`, which installs it")
        self.process = subprocess.Popen(
            ["node", str(Path(__file__).with_name("host.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, op: str, **parameters: Any) -> Any:
        """Run an operation of host.mjs, and return its result. Raises `RuntimeError` if it fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"op": op, **parameters}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the Node process has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def start(self, worker: str, **options: Any) -> str:
        """Start a Worker with empty stores, and return its address. `options` are miniflare's."""
        options = {"compatibilityFlags": list(COMPATIBILITY_FLAGS), **options}
        return self.ask("start", modules=modules(worker), compatibilityDate=COMPATIBILITY_DATE, options=options)

    def anew(self) -> None:
        """Start the next Worker in a new workerd process with an empty database."""
        self.ask("anew")

    def start_all(self, workers: dict[str, dict[str, Any]]) -> None:
        """Start several Workers with common, empty stores. `workers` maps folders to miniflare's options."""
        flags = {"compatibilityFlags": list(COMPATIBILITY_FLAGS)}
        started = {
            folder.rpartition("/")[2]: {
                "modules": modules(folder),
                "compatibilityDate": COMPATIBILITY_DATE,
                "options": {**flags, **options},
            }
            for folder, options in workers.items()
        }
        self.ask("startAll", workers=started)

    def fetch(self, path: str, method: str = "GET", **options: Any) -> dict[str, Any]:
        """Send a request to the Worker. `options`: headers (a dict), body (text), instruction (see harness.js)."""
        return self.ask("fetch", path=path, method=method, **options)

    def scheduled(self, time: str, **instruction: Any) -> str:
        """Run the Worker's cron at a time. Return the outcome."""
        return self.ask("scheduled", time=time, instruction=instruction)

    def report_while(self, happening: Callable[[], object], *milliseconds: int, **options: Any) -> dict[str, Any]:
        """Request /health as `do_while` does."""
        request = {"op": "fetch", "path": "/health", "method": "GET", **options}
        return self.do_while(request, happening, *milliseconds)

    def do_while(self, request: dict[str, Any], happening: Callable[[], object], *milliseconds: int) -> Any:
        """Begin an operation, call `happening`, let each of `milliseconds` pass for the Worker's limits, and finish it.

        `request` has the operation's `op` and its parameters.
        """
        number = self.ask("begin", request=request)
        happening()
        for span in milliseconds:
            self.ask("pass", milliseconds=span, number=number)
        return self.ask("finish", number=number)

    def working(self) -> int:
        """Return the number of calls of the Worker that have not ended."""
        return self.ask("working")

    def passed(self) -> float:
        """Return the simulated seconds that the last call with silent bindings or hanging hosts took."""
        return self.ask("passed") / 1_000

    def together(self, *requests: dict[str, Any]) -> list[Any]:
        """Run several operations at once. Each request has the operation's `op` and its parameters."""
        return self.ask("together", requests=list(requests))

    def emails(self, count: int = 0) -> list[str]:
        """Return the raw e-mails that were sent since the last call. Waits until there are `count`."""
        return self.ask("emails", count=count)

    def queue(self, *messages: Any) -> dict[str, Any]:
        """Deliver messages to the Worker's queue handler."""
        return self.ask("queue", messages=list(messages))

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement in the Worker's database, and return the rows."""
        return self.ask("sql", statement=statement)

    def bulk(self, operation: str, bucket: str, **parameters: Any) -> Any:
        """Run an operation of buckets.js on a bucket. `worker` names the Worker that has the binding."""
        return self.ask("bulk", operation=operation, bucket=bucket, **parameters)

    def put(self, bucket: str, key: str, text: str = "bytes", **options: Any) -> None:
        """Write an object into a bucket; `options` are R2's."""
        self.ask("put", bucket=bucket, key=key, text=text, options=options)

    def get(self, bucket: str, key: str) -> dict[str, Any] | None:
        """Return an object's text, version, metadata and SHA-256; None if there is none."""
        return self.ask("get", bucket=bucket, key=key)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object from a bucket."""
        self.ask("delete", bucket=bucket, key=key)

    def close(self) -> None:
        """End the process, and workerd with it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=TIMEOUT_SECONDS)
