"""A policy pack, started and called as Pulumi's engine does: `python -u -m pulumi.policy ENGINE PATH`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from harness.waiting import TIMEOUT_SECONDS
from policies.packs import PACKS, VERSION, rules_of

from .graphs import PREFIX
from .project import ROOT


@contextmanager
def started(pack: str, *, preview: bool) -> Generator[Any]:
    environment = {
        "PULUMI_PROJECT": "backbuild",
        "PULUMI_STACK": "prod",
        "PULUMI_DRY_RUN": "true" if preview else "false",
        "PULUMI_CONFIG": "{}",
    }
    folder = ROOT / "policies" / pack
    with subprocess.Popen(
        # The engine starts the pack in its folder, with the path `.`.
        [sys.executable, "-u", "-m", "pulumi.policy", "127.0.0.1:1", "."],
        cwd=folder, env=os.environ | environment, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
            stub: Any = analyzer_pb2_grpc.AnalyzerStub(channel)
            yield stub
            stub.Cancel(empty_pb2.Empty())
        assert process.wait(timeout=TIMEOUT_SECONDS) == 0


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_reports_its_rules_and_its_configuration_schema(pack: str) -> None:
    with started(pack, preview=True) as stub:
        stub.Handshake(analyzer_pb2.AnalyzerHandshakeRequest(engine_address="127.0.0.1:1"))
        assert stub.GetPluginInfo(empty_pb2.Empty()).version == VERSION
        info = stub.GetAnalyzerInfo(empty_pb2.Empty())
        assert (info.name, info.version, info.supportsConfig) == (pack, VERSION, True)
        assert [policy.name for policy in info.policies] == [rule.id for rule in rules_of(pack)]
        first = info.policies[0]
        assert first.enforcementLevel == analyzer_pb2.MANDATORY
        assert first.policy_type == analyzer_pb2.POLICY_TYPE_STACK
        schema = json_format.MessageToDict(first.configSchema.properties)
        assert schema["undetermined"]["enum"] == ["fail", "note"]


def test_an_unknown_value_stops_a_mandatory_rule() -> None:
    """The policy SDK would report the mandatory rule as advisory instead."""
    request = analyzer_pb2.AnalyzeStackRequest()
    kms = request.resources.add(urn=f"{PREFIX}aws:kms/key:Key::k", type="aws:kms/key:Key", name="k")
    kms.properties.update({"deletionWindowInDays": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"})
    with started("retention", preview=True) as stub:
        found = _level(stub.AnalyzeStack(request), "keys-outlive-mistakes")
        assert found == (analyzer_pb2.MANDATORY, "Key k: undetermined: deletionWindowInDays is known only after `up`")
        _configure(stub, "keys-outlive-mistakes", "note")
        assert _level(stub.AnalyzeStack(request), "keys-outlive-mistakes")[0] == analyzer_pb2.ADVISORY
    with started("retention", preview=False) as stub:
        _configure(stub, "keys-outlive-mistakes", "note")
        # After an update no further value becomes known.
        assert _level(stub.AnalyzeStack(request), "keys-outlive-mistakes")[0] == analyzer_pb2.MANDATORY


def test_a_configuration_outside_the_schema_is_refused() -> None:
    with started("retention", preview=True) as stub, pytest.raises(grpc.RpcError) as caught:
        _configure(stub, "keys-outlive-mistakes", "pass")
    error: Any = caught.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "retention: keys-outlive-mistakes.undetermined: 'pass'; 'fail' or 'note' is expected"


def _configure(stub: Any, rule: str, undetermined: str) -> None:
    request = analyzer_pb2.ConfigureAnalyzerRequest()
    request.policyConfig[rule].enforcementLevel = analyzer_pb2.MANDATORY
    request.policyConfig[rule].properties.update({"undetermined": undetermined})
    stub.Configure(request)


def _level(response: Any, rule: str) -> tuple[int, str]:
    (found,) = [one for one in response.diagnostics if one.policyName == rule]
    return found.enforcementLevel, found.message.partition(";")[0]
