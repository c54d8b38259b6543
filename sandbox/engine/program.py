"""Runs the Pulumi program in a separate process, like `pulumi-language-python-exec`.

`python -P program.py FD` starts before the engine is ready. It loads the SDK, then reads a JSON object from the
inherited pipe FD: the addresses to connect to and the program to run. Exit codes: 0, the program succeeded; 1, it
raised `RunError`; 32, it raised another exception. Errors are logged to the engine.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import os
import re
import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Final

# Garbage collection takes a third of the import time and frees nothing; the process is short-lived.
gc.disable()

import grpc  # noqa: E402
import pulumi  # noqa: E402
import pulumi.runtime  # noqa: E402
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS  # noqa: E402  # pyright: ignore[reportPrivateUsage]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc  # noqa: E402

UNHANDLED_EXCEPTION: Final = 32
THREADS: Final = 16
LAZY_SDKS: Final = ("pulumi_cloudflare",)
"""SDKs whose `__init__.py` imports every resource with `from .module import *`. `pulumi_aws` loads lazily by itself."""


class LazyExports(SourceFileLoader):
    """Loads an SDK's package without its resources' modules: each is imported at the first use of one of its names.

    Loading all 777 modules of `pulumi_cloudflare` takes 1.9 s of processor time; the 20 modules that a program uses
    take 0.7 s (`python -m benchmarks.imports`).
    """

    STAR: Final = re.compile(r"^from \.([a-z]\w*) import \*$", re.MULTILINE)
    NAMES: Final = re.compile(r"^__all__ = \[(.*?)\]", re.MULTILINE | re.DOTALL)
    HEAD: Final = 8192
    """The number of characters that are read from a module: enough to reach `__all__`, which follows the imports."""

    def exec_module(self, module: ModuleType) -> None:
        """Run `__init__.py` without its star imports. At the first use of a name, import the module that defines it."""
        text = Path(self.path).read_text(encoding="utf-8")
        homes = {name: home for home in self.STAR.findall(text) for name in self._names(home)}

        def load(name: str) -> Any:
            if name not in homes:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            value = getattr(importlib.import_module(f".{homes[name]}", module.__name__), name)
            setattr(module, name, value)
            return value

        module.__dict__["__getattr__"] = load
        exec(compile(self.STAR.sub("", text), self.path, "exec"), module.__dict__)  # noqa: S102 (it is the SDK's own file)

    def _names(self, home: str) -> list[str]:
        """Return the names that a module exports, read from its `__all__` without importing it."""
        with Path(self.path).with_name(f"{home}.py").open(encoding="utf-8") as file:
            names = self.NAMES.search(file.read(self.HEAD))
        if names is None:
            raise ImportError(
                f"{file.name} has no __all__ at its beginning; remove its SDK from LAZY_SDKS in {__file__}"
            )
        return re.findall(r"'(\w+)'", names[1])


class LazySdks(MetaPathFinder):
    """Finds the SDKs that are loaded with `LazyExports`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 (the interface has it)
    ) -> ModuleSpec | None:
        """Return the package's usual spec with the lazy loader; None for other modules."""
        spec = PathFinder.find_spec(fullname, path) if fullname in LAZY_SDKS else None
        if spec is not None and spec.origin is not None:
            spec.loader = LazyExports(fullname, spec.origin)
        return spec


class EngineLog:
    """A stub of the log service without debug messages: the SDK logs a dozen per resource; the engine drops them."""

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address, options=_GRPC_CHANNEL_OPTIONS)
        self._stub: Any = engine_pb2_grpc.EngineStub(channel)

    def Log(self, request: engine_pb2.LogRequest) -> None:  # noqa: N802 (the protocol's name)
        """Send a message, unless it is a debug message."""
        if request.severity != engine_pb2.DEBUG:
            self._stub.Log(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)


class Outstanding:
    """The set of outputs that the SDK waits for at the end of a program. Iteration yields only a few of them.

    The SDK iterates over all outputs each time one of them completes. That is quadratic: with 350 resources it takes
    half of the time. This class yields the oldest outputs, and the failed ones, which end the program.
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
        """Add an output."""
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._failed[task] = None

    def discard(self, task: asyncio.Future[Any]) -> None:
        """Remove an output if it is in the set."""
        self._tasks.pop(task, None)

    def remove(self, task: asyncio.Future[Any]) -> None:
        """Remove an output; raise a `KeyError` if it is not in the set."""
        del self._tasks[task]

    def clear(self) -> None:
        """Remove the outputs that were yielded last. The SDK has copied them, and adds incomplete ones again."""
        for task in self._shown:
            self._tasks.pop(task, None)


def main(pipe: int) -> int:
    """Read the job from the pipe, run the program, and return the exit code."""
    with os.fdopen(pipe, encoding="utf-8") as file:
        text = file.read()
    if not text:  # the engine closed the pipe without starting the program
        return 0
    job = json.loads(text)
    # Like the real language host, provide the configuration twice: to the SDK, and in a variable for programs.
    pulumi.runtime.set_all_config(job["config"], job["secretKeys"])
    os.environ["PULUMI_CONFIG"] = json.dumps(job["config"])
    settings = pulumi.runtime.Settings(
        monitor=job["address"],
        engine=EngineLog(job["engine"]),
        project=job["project"],
        stack=job["stack"],
        parallel=THREADS,
        dry_run=job["preview"],
        organization="organization",
        root_directory=job["root"],
    )
    settings.outputs = Outstanding()  # pyright: ignore[reportAttributeAccessIssue] (it has every set method that the SDK uses)
    pulumi.runtime.configure(settings)
    os.chdir(job["root"])
    sys.argv = [job["program"]]
    return run(job["program"])


def run(program: str) -> int:
    """Run a program file, or a folder's `__main__.py`, inside a stack resource."""
    # Suppress asyncio's messages about tasks that a failed program did not await.
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
        return UNHANDLED_EXCEPTION
    return 0


def _run_path(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def _traceback_of(program: str) -> str:
    """Return the current traceback, starting at the program's first own frame."""
    inside = os.path.abspath(program)  # noqa: PTH100 (the same form as in frames)
    frames = traceback.extract_tb(sys.exc_info()[2])
    for index, frame in enumerate(frames):
        if not frame.filename.startswith("<") and os.path.abspath(frame.filename).startswith(inside):  # noqa: PTH100
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


if __name__ == "__main__":
    sys.meta_path.insert(0, LazySdks())
    code = main(int(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Skip the interpreter's clean-up, which would walk 200 MB of the SDKs' objects.
    os._exit(code)
