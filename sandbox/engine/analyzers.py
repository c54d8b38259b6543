"""Run policy packs: each is a process that serves Pulumi's `Analyzer` protocol, started while the program loads.

A project's packs are the folders `policies/*/` with a `PulumiPolicy.yaml`. `STACK.json` in that folder, if it exists,
is the stack's configuration of the pack, in the format of `pulumi --policy-pack-config`.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, cast

from sandbox.engine.errors import EngineError, InputError
from sandbox.engine.plan import Violation
from sandbox.engine.project import Project
from sandbox.engine.state import Resource

START_SECONDS: Final = 60.0  # a cold start without compiled Python modules takes 10 s
FOLDER: Final = "policies"
MANIFEST: Final = "PulumiPolicy.yaml"
LEVELS: Final = ("advisory", "mandatory", "disabled")


def packs_of(root: Path) -> list[Path]:
    """Return the folders of a project's packs."""
    return sorted(manifest.parent for manifest in (root / FOLDER).glob(f"*/{MANIFEST}"))


@dataclass
class Analyzers:
    """The packs of one run. They load in the background; `configure` waits for them."""

    project: Project
    preview: bool
    packs: Sequence[Path]

    def __enter__(self) -> Self:
        # Stderr goes to files: it is not read while a pack runs, and a full pipe would block the pack.
        self._files: ExitStack = ExitStack()
        self._stderr_files: list[IO[str]] = []
        for _ in self.packs:
            self._stderr_files.append(self._files.enter_context(tempfile.TemporaryFile("w+")))
        started = zip(self.packs, self._stderr_files, strict=True)
        self._processes: list[subprocess.Popen[str]] = [self._start(pack, stderr_file) for pack, stderr_file in started]
        self._stubs: list[Any] = []
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()
        self._files.close()

    def _start(self, pack: Path, stderr_file: IO[str]) -> subprocess.Popen[str]:
        environment = os.environ | {
            "PULUMI_PROJECT": self.project.name,
            "PULUMI_STACK": self.project.stack,
            "PULUMI_DRY_RUN": "true" if self.preview else "false",
            "PULUMI_CONFIG": json.dumps(self.project.config),
        }
        return subprocess.Popen(
            # The engine's address is required but not used: nothing listens there.
            [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", str(pack)],
            cwd=pack,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr_file,
            text=True,
            start_new_session=True,
        )

    def configure(self) -> None:
        """Connect to each pack and send the stack's configuration; raise an `InputError` if a pack rejects it."""
        import grpc  # noqa: PLC0415 (loaded while the program loads)
        from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc  # noqa: PLC0415

        sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        for pack, process, stderr_file in zip(self.packs, self._processes, self._stderr_files, strict=True):
            channel = grpc.insecure_channel(f"127.0.0.1:{_port(pack, process, stderr_file)}", options=sizes)
            stub: Any = analyzer_pb2_grpc.AnalyzerStub(channel)
            file = pack / f"{self.project.stack}.json"
            try:
                stub.ConfigureStack(
                    analyzer_pb2.AnalyzerStackConfigureRequest(
                        stack=self.project.stack, project=self.project.name, dry_run=self.preview
                    )
                )
                stub.Configure(_configuration(file, stub))
            except grpc.RpcError as error:
                raise _pack_error(pack, error) from None
            self._stubs.append(stub)

    def analyze(self, resources: Sequence[Resource]) -> list[Violation]:
        """Return the violations in the whole stack. The packs run in parallel."""
        from sandbox.engine.analysis import to_request, to_requests  # noqa: PLC0415

        stubs = list(zip(self.packs, self._stubs, strict=True))
        # The packs return nothing for a single resource: they keep its inputs for the request with all resources.
        inputs = [(pack, stub.Analyze.future(one)) for one in to_requests(resources) for pack, stub in stubs]
        for pack, answer in inputs:
            _result(pack, answer)
        request = to_request(resources)
        pending = [(pack, stub.AnalyzeStack.future(request)) for pack, stub in stubs]
        return [one for pack, answer in pending for one in _violations(_result(pack, answer).diagnostics)]


def _result(pack: Path, answer: Any) -> Any:
    """Return a pack's response; raise an error that names the pack if the call failed."""
    import grpc  # noqa: PLC0415

    try:
        return answer.result()
    except grpc.RpcError as error:
        raise _pack_error(pack, error) from None


def _port(pack: Path, process: subprocess.Popen[str], stderr_file: IO[str]) -> int:
    """Return the port that a pack prints. If it prints none in time, raise an error with its last line of stderr."""
    stream = process.stdout
    assert stream is not None
    deadline = time.monotonic() + START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        ready = selector.select(max(0.0, deadline - time.monotonic()))
    line = stream.readline().strip() if ready else ""
    if line.isdecimal():
        return int(line)
    process.kill()
    process.wait()
    stderr_file.seek(0)
    said = stderr_file.read().strip()
    reason = said.splitlines()[-1] if said else line or "it printed no port and no error"
    raise EngineError(f"the policy pack {pack} did not start: {reason}; correct it, or use --skip-policies")


def _configuration(file: Path, stub: Any) -> Any:
    """Convert the stack's file to a protocol message, with `all` applied to every rule of the pack."""
    from google.protobuf import empty_pb2, json_format  # noqa: PLC0415
    from pulumi.runtime.proto import analyzer_pb2  # noqa: PLC0415

    request = analyzer_pb2.ConfigureAnalyzerRequest()
    given = _read(file)
    if not given:
        return request
    schemas = {
        policy.name: json_format.MessageToDict(policy.configSchema.properties)
        for policy in stub.GetAnalyzerInfo(empty_pb2.Empty()).policies
    }
    default = _entry(f"{file}: all", given.pop("all", {}), {k: v for one in schemas.values() for k, v in one.items()})
    if unknown := sorted(given.keys() - schemas.keys()):
        raise InputError(f"{file}: {unknown[0]}: no such rule; this pack has {', '.join(sorted(schemas))}")
    for rule, schema in schemas.items():
        entry = {**default, **_entry(f"{file}: {rule}", given.get(rule, {}), schema)}
        configured = request.policyConfig[rule]
        level = str(entry.pop("enforcementLevel", "mandatory"))
        configured.enforcementLevel = analyzer_pb2.EnforcementLevel.Value(level.upper())
        json_format.ParseDict(entry, configured.properties)
    return request


def _entry(place: str, value: object, schema: dict[str, Any]) -> dict[str, Any]:
    """Check a rule's configuration and return it. An error of the pack itself would not name the file."""
    entry: object = {"enforcementLevel": value} if isinstance(value, str) else value
    if not isinstance(entry, dict):
        raise InputError(f"{place}: {value!r:.40}; a level or an object is expected")
    keys: dict[str, Any] = {"enforcementLevel": {"enum": list(LEVELS)}, **schema}
    for key, given in cast("dict[str, Any]", entry).items():
        if key not in keys:
            raise InputError(f"{place}.{key}: no such key; allowed are {', '.join(keys)}")
        choices = keys[key].get("enum")
        if choices is not None and given not in choices:
            raise InputError(f"{place}.{key}: {given!r:.40}; one of {', '.join(choices)} is expected")
    return dict(cast("dict[str, Any]", entry))


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise InputError(f"{file}:{line}: {error}; correct the JSON") from None
    if not isinstance(document, dict):
        raise InputError(f"{file}:1: must be a JSON object whose keys are rules, or `all`")
    return cast("dict[str, Any]", document)


def _pack_error(pack: Path, error: Any) -> EngineError:
    """Return an `InputError` if the pack rejected its configuration, otherwise an `EngineError`."""
    import grpc  # noqa: PLC0415

    if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
        return InputError(error.details())
    return EngineError(f"the policy pack {pack} failed: {error.details()}; correct it, or use --skip-policies")


def _violations(diagnostics: Iterable[Any]) -> list[Violation]:
    from pulumi.runtime.proto import analyzer_pb2  # noqa: PLC0415

    return [
        Violation(
            pack=one.policyPackName,
            rule=one.policyName,
            mandatory=one.enforcementLevel == analyzer_pb2.MANDATORY,
            urn=one.urn,
            message=one.message,
        )
        for one in diagnostics
    ]
