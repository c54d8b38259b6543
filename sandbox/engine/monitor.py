# ruff: noqa: ARG002, N802 (the methods are the protocol's)
"""The two gRPC services that a Pulumi program calls. They convert messages to calls of `Deployment` and back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar, cast

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, resource_pb2, resource_pb2_grpc

from sandbox.engine.aliases import Alias
from sandbox.engine.deployment import Deployment, Registered, StoppedError
from sandbox.engine.errors import EngineError, UnsupportedError
from sandbox.engine.steps import Goal
from sandbox.engine.watch import Watcher
from sandbox.provider import ProviderError
from sandbox.values import UNKNOWN, UNKNOWNS_ON_THE_WIRE, UnsupportedValueError, Value, from_struct, to_struct

THREADS: Final = 32
MESSAGE_SIZE: Final = 400 * 1024 * 1024  # bytes; the SDK's own limit
STOPPED: Final = "the run has stopped"
_SEVERITIES: Final = {0: "debug", 1: "info", 2: "warning", 3: "error"}
_FEATURES: Final = ("secrets", "aliasSpecs", "deletedWith", "replaceWith", "replacementTrigger")
# Reported as supported so that `_reject_unsupported` can name the option; otherwise the SDK blames the Pulumi CLI.
_UNSUPPORTED_FEATURES: Final = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACEMENT_TRIGGER,
)

T = TypeVar("T")


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """The resource monitor: programs register resources through it."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment: Deployment = deployment

    def GetDeploymentInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> resource_pb2.DeploymentInfo:
        """List the features that programs may use."""
        return resource_pb2.DeploymentInfo(
            project=self._deployment.project,
            stack=self._deployment.stack,
            dryRun=self._deployment.preview,
            supportedFeatures=[
                resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
                *_UNSUPPORTED_FEATURES,
            ],
        )

    def SupportsFeature(
        self, request: resource_pb2.SupportsFeatureRequest, context: grpc.ServicerContext
    ) -> resource_pb2.SupportsFeatureResponse:
        """Say whether one feature is supported; older SDKs call this method."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _FEATURES)

    def RegisterResource(
        self, request: resource_pb2.RegisterResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.RegisterResourceResponse:
        """Create, update or replace a resource to match the program."""
        done = self._answer(context, lambda: self._register(request))
        result = resource_pb2.FAIL if done.failed else resource_pb2.SUCCESS
        return resource_pb2.RegisterResourceResponse(
            urn=done.urn, id=done.id, object=to_struct(done.outputs), result=result
        )

    def _register(self, request: resource_pb2.RegisterResourceRequest) -> Registered:
        urn = self._deployment.urn(request.parent, request.type, request.name)
        try:
            goal = _goal(urn, request)
        except (EngineError, UnsupportedValueError) as error:
            message = str(error) if urn in str(error) else f"{urn}: {error}"
            self._deployment.fail(urn, message)
            if not self._deployment.preview:
                raise StoppedError from error
            return Registered(urn, failed=True)
        return self._deployment.register(goal)

    def RegisterResourceOutputs(
        self, request: resource_pb2.RegisterResourceOutputsRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Record the outputs of a component or of the stack."""
        self._answer(context, lambda: self._deployment.register_outputs(request.urn, from_struct(request.outputs)))
        return empty_pb2.Empty()

    def ReadResource(
        self, request: resource_pb2.ReadResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ReadResourceResponse:
        """Look up an object that this stack does not manage."""
        urn = self._deployment.urn(request.parent, request.type, request.name)
        id: Value = UNKNOWN if request.id in UNKNOWNS_ON_THE_WIRE else request.id

        def read() -> Registered:
            return self._deployment.read(_lookup(urn, request), id)

        done = self._answer(context, read)
        result = resource_pb2.FAIL if done.failed else resource_pb2.SUCCESS
        return resource_pb2.ReadResourceResponse(
            urn=done.urn, id=done.id, properties=to_struct(done.outputs), result=result
        )

    def Invoke(
        self, request: resource_pb2.ResourceInvokeRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ResourceInvokeResponse:
        """Call a provider function."""
        try:
            result = self._deployment.invoke(request.tok, from_struct(request.args), request.provider, request.version)
        except (ProviderError, EngineError, UnsupportedValueError) as error:
            return resource_pb2.ResourceInvokeResponse(
                failures=[provider_pb2.CheckFailure(property=request.tok, reason=str(error))]
            )
        answer = resource_pb2.ResourceInvokeResponse()
        getattr(answer, "return").CopyFrom(to_struct(result))  # the field's name is a Python keyword
        return answer

    def SignalAndWaitForShutdown(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Return at once. The SDK calls this at the end of the program, when the engine has no work left for it."""
        return empty_pb2.Empty()

    def Call(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Unsupported: methods of remote components."""
        self._abort_unsupported(context, f"calling {request.tok}: methods of remote components")

    def StreamInvoke(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Unsupported."""
        self._abort_unsupported(context, f"{request.tok}: streaming functions")

    def RegisterStackTransform(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Unsupported."""
        self._abort_unsupported(context, "transforms of the whole stack")

    def RegisterStackInvokeTransform(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Unsupported."""
        self._abort_unsupported(context, "transforms of invokes")

    def RegisterResourceHook(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Unsupported."""
        self._abort_unsupported(context, f"resource hook {request.name}: hooks")

    def RegisterErrorHook(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Unsupported."""
        self._abort_unsupported(context, f"error hook {request.name}: hooks")

    def RegisterPackage(self, request: Any, context: grpc.ServicerContext) -> NoReturn:
        """Unsupported."""
        self._abort_unsupported(context, f"package {request.name}: parameterized packages")

    def _abort_unsupported(self, context: grpc.ServicerContext, what: str) -> NoReturn:
        message = f"{what} are not supported by the sandbox"
        self._deployment.fail("", message)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, message)

    def _answer(self, context: grpc.ServicerContext, work: Callable[[], T]) -> T:
        try:
            return work()
        except StoppedError:
            context.abort(grpc.StatusCode.UNAVAILABLE, STOPPED)
        except (EngineError, UnsupportedValueError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))


class Log(engine_pb2_grpc.EngineServicer):
    """The engine service: it receives programs' log messages."""

    def __init__(self, deployment: Deployment, watcher: Watcher) -> None:
        self._deployment: Deployment = deployment
        self._watcher: Watcher = watcher
        self._root: str = ""

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Show a message and record errors. Errors that the SDK logs after the run has stopped are ignored."""
        severity = _SEVERITIES.get(request.severity, "info")
        if severity != "error" or not self._deployment.stopping.is_set():
            self._watcher.message(severity, request.message, request.urn)
            if severity == "error":
                self._deployment.plan.fail(request.urn, request.message)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: grpc.ServicerContext) -> engine_pb2.GetRootResourceResponse:
        """Return the stack's URN, or "" before it is registered."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: grpc.ServicerContext) -> engine_pb2.SetRootResourceResponse:
        """Store the stack's URN."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(
        self, request: Any, context: grpc.ServicerContext
    ) -> engine_pb2.RequirePulumiVersionResponse:
        """Accept any version. The engine implements the protocols of one SDK version, which the project pins."""
        return engine_pb2.RequirePulumiVersionResponse()


@contextmanager
def serve(deployment: Deployment, watcher: Watcher) -> Generator[str]:
    """Serve both services on a free loopback port during the block; yield the address."""
    server = grpc.server(
        ThreadPoolExecutor(THREADS),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_SIZE),
            ("grpc.max_send_message_length", MESSAGE_SIZE),
            ("grpc.so_reuseport", 0),
        ],
    )
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(Monitor(deployment), server)
    engine_pb2_grpc.add_EngineServicer_to_server(Log(deployment, watcher), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def _goal(urn: str, request: resource_pb2.RegisterResourceRequest) -> Goal:
    _reject_unsupported(urn, request)
    specified = cast("Iterable[Any]", request.aliases)
    return Goal(
        urn=urn,
        type=request.type,
        custom=request.custom,
        inputs=from_struct(request.object),
        parent=request.parent,
        provider=request.provider,
        version=request.version,
        dependencies=sorted(request.dependencies),
        property_dependencies={key: sorted(needs.urns) for key, needs in request.propertyDependencies.items()},
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
        additional_secret_outputs=list(request.additionalSecretOutputs),
        aliases=[*map(_alias, specified), *(Alias(urn=alias) for alias in request.aliasURNs)],
        ignore_changes=list(request.ignoreChanges),
        replace_on_changes=list(request.replaceOnChanges),
        custom_timeouts=_timeouts(request),
    )


def _reject_unsupported(urn: str, request: resource_pb2.RegisterResourceRequest) -> None:
    used: dict[str, Any] = {
        "import_": request.importId,
        "deleted_with": request.deletedWith,
        "replace_with": request.replace_with,
        "replacement_trigger": request.HasField("replacement_trigger"),
        "transforms": request.transforms,
        "hooks": request.HasField("hooks") and request.hooks.ListFields(),
        "hide_diffs": request.hideDiffs,
        "env_var_mappings": request.envVarMappings,
        "state_migrations": request.state_migrations,
        "plugin_download_url": request.pluginDownloadURL,
        "remote components": request.remote,
    }
    for option, value in used.items():
        if value:
            raise UnsupportedError(f"{urn}: {option} is not supported by the sandbox; remove it to use the sandbox")


def _alias(alias: Any) -> Alias:
    if alias.urn:
        return Alias(urn=alias.urn)
    spec = alias.spec
    return Alias(
        name=spec.name,
        type=spec.type,
        parent=spec.parentUrn,
        no_parent=spec.noParent,
        project=spec.project,
        stack=spec.stack,
    )


def _timeouts(request: resource_pb2.RegisterResourceRequest) -> dict[str, float]:
    if not request.HasField("customTimeouts"):
        return {}
    given = request.customTimeouts
    seconds = {"create": given.create, "update": given.update, "delete": given.delete}
    return {operation: _seconds(text) for operation, text in seconds.items() if text}


def _seconds(duration: str) -> float:
    """Convert a Go duration (`1h30m`, `90s`) to seconds. The state stores it; the simulated clouds ignore it."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    total, number = 0.0, ""
    for character in duration:
        if character in units:
            total, number = total + float(number) * units[character], ""
        else:
            number += character
    return total


def _lookup(urn: str, request: resource_pb2.ReadResourceRequest) -> Goal:
    return Goal(
        urn=urn,
        type=request.type,
        custom=True,
        inputs=from_struct(request.properties),
        parent=request.parent,
        provider=request.provider,
        version=request.version,
        dependencies=sorted(request.dependencies),
        additional_secret_outputs=list(request.additionalSecretOutputs),
    )
