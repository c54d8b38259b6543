"""One Node process that runs Workers in workerd, one at a time; nothing leaves the loopback."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.patience import GENEROUS
from model.worker_modules import COMPATIBILITY_DATE, COMPATIBILITY_FLAGS, WORKERS, modules_of


def modules(worker: str) -> list[str]:
    """Return the paths below workers/ that are deployed for a Worker: its index.js, which is the main one, first."""
    main = f"{worker}/index.js"
    return sorted((module.name for module in modules_of(worker)), key=lambda name: (name != main, name))


class Host:
    """One Node process that runs one Worker at a time."""

    def __init__(self) -> None:
        if not (WORKERS / "node_modules").is_dir():
            raise FileNotFoundError("the Workers' tools are not installed in workers/node_modules: run `make test`")
        self.process = subprocess.Popen(
            ["node", str(Path(__file__).with_name("host.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, op: str, **parameters: Any) -> Any:
        """Have the process do an operation of host.mjs, and return its result."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"op": op, **parameters}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the Node host ended"
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def start(self, worker: str, **options: Any) -> str:
        """Start a Worker with empty stores, and return its address; `options` are miniflare's."""
        options = {"compatibilityFlags": list(COMPATIBILITY_FLAGS), **options}
        return self.ask("start", modules=modules(worker), compatibilityDate=COMPATIBILITY_DATE, options=options)

    def anew(self) -> None:
        """Have the next Worker start in a workerd of its own, without tables."""
        self.ask("anew")

    def start_all(self, workers: dict[str, dict[str, Any]]) -> None:
        """Start several Workers with empty stores that they share: folder to miniflare's options."""
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
        """Ask the Worker; `options`: headers (a dict), body (text), instruction (see harness.js)."""
        return self.ask("fetch", path=path, method=method, **options)

    def scheduled(self, time: str, **instruction: Any) -> str:
        """Call the Worker's cron at a time; return the outcome."""
        return self.ask("scheduled", time=time, instruction=instruction)

    def report_while(self, happening: Callable[[], object], *milliseconds: int, **options: Any) -> dict[str, Any]:
        """Ask for /health, and once something has happened let so much time pass for the Worker's limits, in turn."""
        request = {"op": "fetch", "path": "/health", "method": "GET", **options}
        return self.do_while(request, happening, *milliseconds)

    def do_while(self, request: dict[str, Any], happening: Callable[[], object], *milliseconds: int) -> Any:
        """The same for any request, a dict of `op` and its parameters."""
        number = self.ask("begin", request=request)
        happening()
        for span in milliseconds:
            self.ask("pass", milliseconds=span, number=number)
        return self.ask("finish", number=number)

    def working(self) -> int:
        """How many calls of the Worker are not over."""
        return self.ask("working")

    def passed(self) -> float:
        """How many seconds of its limits a Worker has waited for what is silent, since it was asked last."""
        return self.ask("passed") / 1_000

    def together(self, *requests: dict[str, Any]) -> list[Any]:
        """Do several at once, each a dict of `op` and its parameters."""
        return self.ask("together", requests=list(requests))

    def emails(self, count: int = 0) -> list[str]:
        """Take what was sent since the last time, as it went out; waits a moment until there are `count`."""
        return self.ask("emails", count=count)

    def queue(self, *messages: Any) -> dict[str, Any]:
        """Deliver messages to the Worker's queue handler."""
        return self.ask("queue", messages=list(messages))

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement in the Worker's database, and return the rows."""
        return self.ask("sql", statement=statement)

    def bulk(self, operation: str, bucket: str, **parameters: Any) -> Any:
        """Do something with a bucket where it is: see buckets.js; `worker` is whose binding it is."""
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
        self.process.wait(timeout=GENEROUS)
