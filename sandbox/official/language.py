# ruff: noqa: ARG002, N802 (the protocol defines the method names)
"""A Pulumi language host for Python, on the protocol definitions in the Python SDK.

The CLI is distributed with a language host, but no package registry serves that one. The CLI attaches to this host
through `PULUMI_DEBUG_LANGUAGES=python:PORT`. Each program runs in a separate process, as under the sandbox's engine;
policy packs run as `python -m pulumi.policy`.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Final

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
)

from sandbox.engine.host import Program
from sandbox.engine.plan import Step
from sandbox.engine.project import Project

STOPPED_BY_THE_PROGRAM: Final = (1, 32)  # exit codes of a program whose error has been logged to the engine


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs Python programs and policy packs for one CLI at a time; the stack's lock keeps out a second one."""

    def __init__(self) -> None:
        self._engine: str = ""

    def Handshake(self, request: Any, context: Any) -> Any:
        """Store the engine's address, to which the programs' output is logged."""
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Report the SDK's version."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """Ask for no plugin: the simulated clouds are attached already."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        """Ask for no plugin; older CLIs call this method."""
        return language_pb2.GetRequiredPluginsResponse()

    def About(self, request: Any, context: Any) -> Any:
        """Report the interpreter."""
        return language_pb2.AboutResponse(executable=sys.executable, version=".".join(map(str, sys.version_info[:3])))

    def Run(self, request: Any, context: Any) -> Any:
        """Run a program to its end. The program logs its own errors; `bail` keeps the CLI from reporting them again."""
        root = Path(request.pwd)
        entry = Path(request.info.program_directory or request.pwd, request.info.entry_point or ".")
        program = Program(
            Project(root, request.project, request.stack, entry, dict(request.config), list(request.configSecretKeys))
        )
        context.add_callback(program.stop)
        engine = request.args[0] if request.args else self._engine
        try:
            code = program.run(request.monitor_address, _Output(engine), preview=request.dryRun, engine=engine)
        finally:
            program.stop()
        if code == 0:
            return language_pb2.RunResponse()
        if code in STOPPED_BY_THE_PROGRAM:
            return language_pb2.RunResponse(bail=True)
        return language_pb2.RunResponse(error=f"the program {entry} ended with exit code {code}")

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Run a policy pack until the CLI closes the call, and forward the pack's output."""
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "pulumi.policy", *request.args, request.info.program_directory],
            cwd=request.pwd,
            env=dict(entry.split("=", 1) for entry in request.env) or os.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        context.add_callback(process.terminate)
        printed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        readers = [
            threading.Thread(target=_relay, args=(stream, answer, printed), daemon=True)
            for stream, answer in (
                (process.stdout, _stdout),
                (process.stderr, _stderr),
            )
        ]
        for reader in readers:
            reader.start()
        open_streams = len(readers)
        while open_streams:
            message = printed.get()
            if message is None:
                open_streams -= 1
            else:
                yield message
        yield language_pb2.RunPluginResponse(exitcode=process.wait())

    def Cancel(self, request: Any, context: Any) -> Any:
        """Do nothing: programs and packs end with their calls."""
        return empty_pb2.Empty()


class _Output:
    """Sends a program's output to the CLI's log."""

    def __init__(self, engine: str) -> None:
        self._stub: Any = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine))

    def message(self, severity: str, text: str, urn: str = "") -> None:
        """Log one line of the program's output; drop it if the CLI was killed."""
        with suppress(grpc.RpcError):
            self._stub.Log(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text + "\n"))

    def started(self, step: Step) -> None:
        """Do nothing: the CLI shows steps itself."""

    def finished(self, step: Step, seconds: float) -> None:
        """Do nothing: the CLI shows steps itself."""

    def planned_step(self, step: Step) -> None:
        """Do nothing: the CLI shows steps itself."""


def _stdout(line: bytes) -> Any:
    return language_pb2.RunPluginResponse(stdout=line)


def _stderr(line: bytes) -> Any:
    return language_pb2.RunPluginResponse(stderr=line)


def _relay(stream: IO[bytes] | None, answer: Callable[[bytes], Any], printed: queue.SimpleQueue[Any]) -> None:
    for line in stream or ():
        printed.put(answer(line))
    printed.put(None)


@contextmanager
def serve() -> Generator[int]:
    """Serve the language host on a free loopback port until the block ends; yields the port."""
    sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(max_workers=16, thread_name_prefix="language"), options=sizes)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()
