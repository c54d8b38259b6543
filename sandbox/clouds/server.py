# ruff: noqa: ARG002, N802 (the protocol defines the method names)
# pyright: reportIncompatibleMethodOverride=false
# (a decorated method loses its parameter names; gRPC passes arguments by position)
"""Serves the simulated clouds to the real Pulumi CLI: one gRPC `ResourceProvider` for each package, on loopback.

The CLI attaches to running providers (`PULUMI_DEBUG_PROVIDERS=aws:PORT,…`). It opens one connection for each provider
instance of a program. Requests do not name the instance, so the server identifies it by the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from sandbox.provider import Change, Checked, Provider, ProviderError
from sandbox.values import Properties, UnsupportedValueError, from_struct, reveal, to_struct

Request = TypeVar("Request")
Response = TypeVar("Response")

_KINDS = {
    Change.ADD: provider_pb2.PropertyDiff.ADD,
    Change.ADD_REPLACE: provider_pb2.PropertyDiff.ADD_REPLACE,
    Change.DELETE: provider_pb2.PropertyDiff.DELETE,
    Change.DELETE_REPLACE: provider_pb2.PropertyDiff.DELETE_REPLACE,
    Change.UPDATE: provider_pb2.PropertyDiff.UPDATE,
    Change.UPDATE_REPLACE: provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


class Clouds(Protocol):
    """Clouds with a provider for each package."""

    packages: tuple[str, ...]

    def provider(self, package: str, version: str = "") -> Provider:
        """Return the unconfigured provider of a package."""
        ...

    def forget_plans(self) -> None:
        """Remove all planned objects, at the beginning of a preview."""
        ...


class OpenClouds(Protocol):
    """Opens clouds."""

    def __call__(self, store: Path, *, readonly: bool = False) -> AbstractContextManager[Clouds]:
        """Open the clouds whose objects are in `store`."""
        ...


class Context(Protocol):
    """The methods of a gRPC call's context that this module uses."""

    def peer(self) -> str:
        """Return the address of the client."""
        ...

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with an error."""
        ...


@contextmanager
def serve(clouds: Clouds) -> Generator[dict[str, int]]:
    """Serve every package during the block; yield the port of each package."""
    servers: list[grpc.Server] = []
    ports: dict[str, int] = {}
    try:
        for package in clouds.packages:
            # The CLI's limit for messages is 400 MB; gRPC's default is 4 MB.
            options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
            server = grpc.server(ThreadPoolExecutor(max_workers=16, thread_name_prefix=package), options=options)
            provider_pb2_grpc.add_ResourceProviderServicer_to_server(ProviderServer(clouds, package), server)
            ports[package] = server.add_insecure_port("127.0.0.1:0")
            server.start()
            servers.append(server)
        yield ports
    finally:
        for server in servers:
            server.stop(grace=None).wait()


def _with_grpc_errors(
    method: Callable[[ProviderServer, Request, Context], Response],
) -> Callable[[ProviderServer, Request, Context], Response]:
    """Convert a `ProviderError` to a gRPC error with the same message."""

    @wraps(method)
    def call(self: ProviderServer, request: Request, context: Context) -> Response:
        try:
            return method(self, request, context)
        except (ProviderError, UnsupportedValueError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    return call


def _properties(struct: Any) -> Properties:
    return reveal(from_struct(struct))


def _checked(checked: Checked) -> provider_pb2.CheckResponse:
    failures = [provider_pb2.CheckFailure(property=each.path, reason=each.reason) for each in checked.failures]
    return provider_pb2.CheckResponse(inputs=to_struct(checked.inputs), failures=failures)


class ProviderServer(provider_pb2_grpc.ResourceProviderServicer):
    """The service of one package, with a configured provider for each connection."""

    def __init__(self, clouds: Clouds, package: str) -> None:
        self._clouds: Clouds = clouds
        self._base: Provider = clouds.provider(package)
        self._configured: dict[str, Provider] = {}
        self._engine: str = ""

    def _of(self, context: Context) -> Provider:
        found = self._configured.get(context.peer())
        if found is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"this {self._base.package} provider is not configured")
        return found

    def Handshake(self, request: Any, context: Context) -> Any:
        """Report the protocol features: the CLI must send secrets in plain text, and no output values."""
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, request: Any, context: Context) -> Any:
        """Accept a CLI. A CLI other than the previous one begins a new preview."""
        if request.address != self._engine:
            self._engine = request.address
            self._clouds.forget_plans()
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: Context) -> Any:
        """Report the SDK's version; for another version the CLI prints a warning."""
        return plugin_pb2.PluginInfo(version=self._base.version)

    @_with_grpc_errors
    def CheckConfig(self, request: Any, context: Context) -> Any:
        """Validate the configuration."""
        return _checked(self._base.check_config(request.urn, _properties(request.news)))

    @_with_grpc_errors
    def DiffConfig(self, request: Any, context: Context) -> Any:
        """Report no replacement: `Diff` reports the effect of a changed configuration on each resource."""
        changed = _properties(request.old_inputs) != _properties(request.news)
        changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes)

    @_with_grpc_errors
    def Configure(self, request: Any, context: Context) -> Any:
        """Configure this connection's provider."""
        self._configured[context.peer()] = self._base.configure(_properties(request.args))
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True)

    @_with_grpc_errors
    def Check(self, request: Any, context: Context) -> Any:
        """Validate inputs and fill in generated names."""
        olds = _properties(request.olds) if request.HasField("olds") else None
        type = _type(request.urn)
        return _checked(
            self._of(context).check(request.urn, type, olds, _properties(request.news), bytes(request.randomSeed))
        )

    @_with_grpc_errors
    def Diff(self, request: Any, context: Context) -> Any:
        """Compare old and new inputs."""
        difference = self._of(context).diff(
            _type(request.urn),
            request.id,
            _properties(request.old_inputs),
            _properties(request.olds),
            _properties(request.news),
        )
        some = provider_pb2.DiffResponse.DIFF_SOME if difference.changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some,
            replaces=difference.replaces,
            deleteBeforeReplace=difference.delete_before_replace,
            diffs=[path for path in difference.detail if "." not in path and "[" not in path],
            detailedDiff={
                path: provider_pb2.PropertyDiff(kind=_KINDS[change], inputDiff=True)
                for path, change in difference.detail.items()
            },
            hasDetailedDiff=True,
        )

    @_with_grpc_errors
    def Create(self, request: Any, context: Context) -> Any:
        """Create an object, or plan it."""
        inputs = _properties(request.properties)
        id, outputs = self._of(context).create(request.urn, _type(request.urn), inputs, request.preview)
        return provider_pb2.CreateResponse(id=id, properties=to_struct(outputs))

    @_with_grpc_errors
    def Read(self, request: Any, context: Context) -> Any:
        """Return an object; an empty id means that it does not exist."""
        inputs = _properties(request.inputs)
        found = self._of(context).read(request.urn, _type(request.urn), request.id, inputs)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.id, properties=to_struct(found.outputs), inputs=to_struct(found.inputs)
        )

    @_with_grpc_errors
    def Update(self, request: Any, context: Context) -> Any:
        """Update an object, or plan it."""
        olds, news = _properties(request.olds), _properties(request.news)
        outputs = self._of(context).update(request.urn, _type(request.urn), request.id, olds, news, request.preview)
        return provider_pb2.UpdateResponse(properties=to_struct(outputs))

    @_with_grpc_errors
    def Delete(self, request: Any, context: Context) -> Any:
        """Delete an object."""
        self._of(context).delete(request.urn, _type(request.urn), request.id)
        return empty_pb2.Empty()

    @_with_grpc_errors
    def Invoke(self, request: Any, context: Context) -> Any:
        """Call a provider function."""
        answer = self._of(context).invoke(request.tok, _properties(request.args))
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(to_struct(answer))  # the field's name is a Python keyword
        return response

    def Cancel(self, request: Any, context: Context) -> Any:
        """Do nothing: calls are short, so they are not cancelled."""
        return empty_pb2.Empty()


def _type(urn: str) -> str:
    """Return the resource type in a URN, without its parents' types."""
    return urn.split("::")[2].rpartition("$")[2]
