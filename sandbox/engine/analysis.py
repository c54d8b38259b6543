"""Convert a stack's resources to messages of the `Analyzer` protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pulumi.runtime.proto import analyzer_pb2

from sandbox.engine import urns
from sandbox.engine.state import Resource
from sandbox.values import UNKNOWN, Properties, to_struct


def to_requests(resources: Sequence[Resource]) -> list[analyzer_pb2.AnalyzeRequest]:
    """Return a request for each resource to analyze its inputs."""
    requests: list[analyzer_pb2.AnalyzeRequest] = []
    for one in resources:
        request = analyzer_pb2.AnalyzeRequest(
            urn=one.urn, type=one.type, name=one.urn.rpartition("::")[2], properties=to_struct(one.inputs)
        )
        _fill_options(request.options, one)
        requests.append(request)
    return requests


def to_request(resources: Sequence[Resource]) -> analyzer_pb2.AnalyzeStackRequest:
    """Return the request to analyze all resources. Like Pulumi's engine, it sends each resource's outputs."""
    providers = {one.urn: one for one in resources if urns.is_provider(one.type)}
    request = analyzer_pb2.AnalyzeStackRequest()
    for one in resources:
        message = request.resources.add(
            urn=one.urn,
            type=one.type,
            name=one.urn.rpartition("::")[2],
            properties=to_struct(properties_of(one)),
            parent=one.parent,
            dependencies=one.dependencies,
        )
        _fill_options(message.options, one)
        for key, needs in one.property_dependencies.items():
            if needs:
                message.propertyDependencies[key].urns.extend(needs)
        provider = providers.get(urns.split_reference(one.provider)[0]) if one.provider else None
        if provider is not None:
            _fill(message.provider, provider)
    return request


def _fill_options(options: Any, resource: Resource) -> None:
    options.protect = resource.protect
    options.ignoreChanges.extend(resource.ignore_changes)
    options.additionalSecretOutputs.extend(resource.additional_secret_outputs)
    options.aliases.extend(resource.aliases)
    options.parent = resource.parent
    options.deleteBeforeReplace = bool(resource.delete_before_replace)
    options.deleteBeforeReplaceDefined = resource.delete_before_replace is not None
    for operation, seconds in resource.custom_timeouts.items():
        setattr(options.customTimeouts, operation, seconds)


def _fill(message: Any, provider: Resource) -> None:
    message.urn, message.type = provider.urn, provider.type
    message.name = provider.urn.rpartition("::")[2]
    message.properties.CopyFrom(to_struct({k: v for k, v in provider.inputs.items() if k != "__internal"}))


def properties_of(resource: Resource) -> Properties:
    """Return a resource's outputs and its id, which real providers include among the outputs."""
    if not resource.custom or urns.is_provider(resource.type):
        return resource.outputs
    return {"id": resource.id or UNKNOWN, **resource.outputs}
