"""Runs the operator's program in a process of its own, as `pulumi-language-python-exec` does.

Started as `python -P program.py FD` while the engine is still getting ready: it loads the SDK, then reads
from the inherited pipe FD, as JSON, where to connect and what to run. Exit code 0: the program ran to its end; 1: it
raised `RunError`; 32: it raised anything else; the error is logged to the engine in either case.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final

# The process is short-lived and what it loads stays: collecting garbage while importing costs a third of the time.
gc.disable()

import grpc  # noqa: E402
import pulumi  # noqa: E402
import pulumi.runtime  # noqa: E402
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS  # noqa: E402  # pyright: ignore[reportPrivateUsage]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc  # noqa: E402

CRASHED: Final = 32
THREADS: Final = 16


class EngineLog:
    """The engine's stub without the SDK's debug messages: a dozen calls per resource that nobody would see."""

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address, options=_GRPC_CHANNEL_OPTIONS)
        self._stub: Any = engine_pb2_grpc.EngineStub(channel)

    def Log(self, request: engine_pb2.LogRequest) -> None:  # noqa: N802 (the protocol's name)
        """Pass a message on, unless it is for debugging."""
        if request.severity != engine_pb2.DEBUG:
            self._stub.Log(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)


class Outstanding:
    """The outputs that the SDK waits for at the end of a program, a few at a time.

    The SDK's own is a set, all of which it waits for anew whenever one of them is there: quadratic, and with 350
    resources half of the time. This one shows the oldest ones, and those that failed, which end the program.
    """

    AT_A_TIME: Final = 16

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Future[Any], None] = {}
        self._failed: dict[asyncio.Future[Any], None] = {}
        self._shown: list[asyncio.Future[Any]] = []

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[asyncio.Future[Any]]:
        failed = [task for task in self._failed if task in self._tasks]
        self._shown = [*failed, *(task for task in islice(self._tasks, self.AT_A_TIME) if task not in self._failed)]
        return iter(self._shown)

    def add(self, task: asyncio.Future[Any]) -> None:
        """Wait for `task`, too."""
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._failed[task] = None

    def discard(self, task: asyncio.Future[Any]) -> None:
        """Wait for `task` no longer."""
        self._tasks.pop(task, None)

    def remove(self, task: asyncio.Future[Any]) -> None:
        """The same, a `KeyError` if it was not waited for."""
        del self._tasks[task]

    def clear(self) -> None:
        """Forget what was last shown: the SDK has taken it, and puts back what is not done."""
        for task in self._shown:
            self._tasks.pop(task, None)


def main(pipe: int) -> int:
    """Read what to run, run it, and return the exit code."""
    with os.fdopen(pipe, encoding="utf-8") as file:
        text = file.read()
    if not text:  # the engine gave up before the program was to start
        return 0
    told = json.loads(text)
    # Both ways in which the real language host offers the configuration: the SDK reads the one, programs the other.
    pulumi.runtime.set_all_config(told["config"], told["secretKeys"])
    os.environ["PULUMI_CONFIG"] = json.dumps(told["config"])
    settings = pulumi.runtime.Settings(
        monitor=told["address"],
        engine=EngineLog(told["engine"]),
        project=told["project"],
        stack=told["stack"],
        parallel=THREADS,
        dry_run=told["preview"],
        organization="organization",
        root_directory=told["root"],
    )
    settings.outputs = Outstanding()  # pyright: ignore[reportAttributeAccessIssue] (it has all the SDK uses of a set)
    pulumi.runtime.configure(settings)
    os.chdir(told["root"])
    sys.argv = [told["program"]]
    return run(told["program"])


def run(program: str) -> int:
    """Run a program file, or a folder's `__main__.py`, inside a stack resource."""
    # What an aborted program leaves unawaited is no news to its author.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _run_path(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:
        pulumi.log.error("Program failed with an unhandled exception:\n" + _traceback_of(program))
        return CRASHED
    return 0


def _run_path(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def _traceback_of(program: str) -> str:
    """The current traceback from the program's own first frame on."""
    inside = os.path.abspath(program)  # noqa: PTH100 (the same text that frames carry)
    frames = traceback.extract_tb(sys.exc_info()[2])
    for index, frame in enumerate(frames):
        if not frame.filename.startswith("<") and os.path.abspath(frame.filename).startswith(inside):  # noqa: PTH100
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


if __name__ == "__main__":
    code = main(int(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Without the interpreter's own clean-up, which walks the SDKs' 200 MB once more.
    os._exit(code)
