"""Runs a Pulumi program in a child process, connected to the engine's gRPC services."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Final

from sandbox.engine.project import Project
from sandbox.engine.watch import Watcher

LAUNCHER: Final = Path(__file__).with_name("program.py")


class Program:
    """The program's process. It starts at once and loads the SDK, then waits until `run` is called."""

    def __init__(self, project: Project) -> None:
        self._project: Project = project
        reading, self._pipe = os.pipe()
        try:
            self._process: subprocess.Popen[str] = subprocess.Popen(
                [sys.executable, "-P", str(LAUNCHER), str(reading)],
                pass_fds=(reading,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                cwd=project.root,
                start_new_session=True,
            )
        finally:
            os.close(reading)

    def run(self, address: str, watcher: Watcher, *, preview: bool, engine: str = "") -> int:
        """Run the program and return its exit code, negative for a signal.

        The resource monitor listens at `address`; the log service at `engine`, or at `address` if that is empty.
        """
        readers = [
            threading.Thread(target=_relay, args=(stream, watcher), daemon=True)
            for stream in (self._process.stdout, self._process.stderr)
        ]
        for reader in readers:
            reader.start()
        job = {
            "address": address,
            "engine": engine or address,
            "project": self._project.name,
            "stack": self._project.stack,
            "root": str(self._project.root),
            "program": str(self._project.program),
            "preview": preview,
            "config": self._project.config,
            "secretKeys": self._project.secret_keys,
        }
        try:
            with os.fdopen(self._pipe, "w", encoding="utf-8") as pipe:
                self._pipe = -1
                pipe.write(json.dumps(job))
        except BrokenPipeError:
            pass  # the process ended while loading; its exit code and output give the reason
        code = self._process.wait()
        for reader in readers:
            # A grandchild may keep the pipes open; the program's own output has been read by then.
            reader.join(timeout=2)
        return code

    def stop(self) -> None:
        """Terminate the process if it is running."""
        if self._pipe != -1:
            os.close(self._pipe)
            self._pipe = -1
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _relay(stream: IO[str] | None, watcher: Watcher) -> None:
    for line in stream or ():
        watcher.message("output", line.rstrip("\n"))
