"""The clouds over gRPC, as the real CLI calls them: the same results as direct calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from sandbox.clouds import Clouds
from sandbox.clouds.cloud import Cloud
from sandbox.clouds.server import serve
from sandbox.values import UNKNOWN, Properties, Secret, from_struct, to_struct
from tests.sandbox.clouds.conftest import REGION, urn

VPC = "aws:ec2/vpc:Vpc"
MAIN = urn("my:own:Component$" + VPC, "main")
INPUTS: Properties = {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "main"}}


class Caller:
    """One connection to one provider, as the CLI opens it for each provider instance."""

    def __init__(self, port: int, config: Properties | None) -> None:
        # A separate pool: otherwise channels to the same address share a connection.
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
        if config is not None:
            answer = self.stub.Configure(provider_pb2.ConfigureRequest(args=to_struct(config)))
            assert answer.supportsPreview
            assert not answer.acceptSecrets

    def create(self, inputs: Properties, preview: bool = False) -> tuple[str, Properties]:
        request = provider_pb2.CreateRequest(urn=MAIN, properties=to_struct(inputs), preview=preview)
        made = self.stub.Create(request)
        return made.id, from_struct(made.properties)

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def ports(clouds: Clouds) -> Iterator[dict[str, int]]:
    with serve(clouds) as served:
        yield served


@pytest.fixture
def caller(ports: dict[str, int]) -> Iterator[Caller]:
    opened = Caller(ports["aws"], {"region": REGION})
    yield opened
    opened.close()


def test_every_package_is_served_in_its_own_version(clouds: Clouds, ports: dict[str, int]) -> None:
    assert set(ports) == set(clouds.packages)
    for package, port in ports.items():
        caller = Caller(port, None)
        assert caller.stub.GetPluginInfo(empty_pb2.Empty()).version == clouds.provider(package).version
        caller.close()


def test_check_and_diff_return_the_same_as_direct_calls(aws: Cloud, caller: Caller) -> None:
    wrong: Properties = {"cidrBlok": "10.0.0.0/16", "tags": {"a": 1}}
    answer = caller.stub.Check(provider_pb2.CheckRequest(urn=MAIN, news=to_struct(wrong), randomSeed=b"seed"))
    direct = aws.check(MAIN, VPC, None, wrong, b"seed")
    assert {(each.property, each.reason) for each in answer.failures} == {
        (each.path, each.reason) for each in direct.failures
    }
    assert len(direct.failures) == 2

    news: Properties = {"cidrBlock": "10.1.0.0/16", "tags": {"Name": UNKNOWN, "New": "x"}}
    difference = aws.diff(VPC, "vpc-1", INPUTS, {}, news)
    asked = provider_pb2.DiffRequest(
        id="vpc-1", urn=MAIN, olds=to_struct({}), old_inputs=to_struct(INPUTS), news=to_struct(news)
    )
    response = caller.stub.Diff(asked)
    assert response.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert tuple(response.replaces) == difference.replaces == ("cidrBlock",)
    kinds = provider_pb2.PropertyDiff.Kind
    assert {path: kinds.Name(each.kind) for path, each in response.detailedDiff.items()} == {
        path: change.upper().replace("-", "_") for path, change in difference.detail.items()
    }
    asked.news.CopyFrom(to_struct(INPUTS))
    assert caller.stub.Diff(asked).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_create_read_update_delete(aws: Cloud, caller: Caller) -> None:
    assert caller.create(INPUTS, preview=True) == aws.create(MAIN, VPC, INPUTS, True)
    id, outputs = caller.create(INPUTS)
    read = caller.stub.Read(provider_pb2.ReadRequest(id=id, urn=MAIN, inputs=to_struct(INPUTS)))
    direct = aws.read(MAIN, VPC, id, INPUTS)
    assert direct is not None
    assert (read.id, from_struct(read.inputs), from_struct(read.properties)) == (id, direct.inputs, direct.outputs)
    assert direct.outputs == outputs

    news: Properties = {"cidrBlock": "10.0.0.0/16"}
    update = provider_pb2.UpdateRequest(id=id, urn=MAIN, olds=to_struct(outputs), news=to_struct(news))
    assert "tags" not in from_struct(caller.stub.Update(update).properties)
    caller.stub.Delete(provider_pb2.DeleteRequest(id=id, urn=MAIN))
    assert caller.stub.Read(provider_pb2.ReadRequest(id=id, urn=MAIN)).id == ""


def test_each_connection_has_its_own_provider_instance(ports: dict[str, int], caller: Caller) -> None:
    far = Caller(ports["aws"], {"region": "eu-west-1"})
    assert far.create(INPUTS)[1]["region"] == "eu-west-1"
    assert caller.create(INPUTS)[1]["region"] == REGION
    far.close()


def test_a_function_returns_its_result(caller: Caller) -> None:
    request = provider_pb2.InvokeRequest(tok="aws:index/getRegion:getRegion", args=to_struct({}))
    assert from_struct(getattr(caller.stub.Invoke(request), "return"))["region"] == REGION


def test_configuration_is_checked(caller: Caller) -> None:
    answer = caller.stub.CheckConfig(provider_pb2.CheckRequest(news=to_struct({"region": "frankfurt"})))
    assert [failure.property for failure in answer.failures] == ["region"]
    changed = provider_pb2.DiffRequest(old_inputs=to_struct({"region": "a"}), news=to_struct({"region": "b"}))
    assert caller.stub.DiffConfig(changed).changes == provider_pb2.DiffResponse.DIFF_SOME


def _asset() -> Any:
    struct = to_struct({"cidrBlock": Secret("x")})
    struct.fields["cidrBlock"].struct_value.fields["4dabf18193072939515e22adb298388d"].string_value = "an asset"
    return struct


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (provider_pb2.CreateRequest(urn=MAIN, properties=to_struct({"cidrBlock": UNKNOWN})), "cidrBlock is unknown"),
        (provider_pb2.CreateRequest(urn=MAIN, properties=_asset()), "is not supported by the sandbox"),
    ],
)
def test_a_provider_error_is_a_grpc_error_with_its_message(caller: Caller, request_: Any, why: str) -> None:
    with pytest.raises(grpc.RpcError, match=why):
        caller.stub.Create(request_)


def test_a_call_without_configuration_is_an_error(ports: dict[str, int]) -> None:
    bare = Caller(ports["aws"], None)
    with pytest.raises(grpc.RpcError, match="not configured"):
        bare.create(INPUTS)
    bare.close()


def test_a_certificate_whose_renewal_is_due_is_replaced(ports: dict[str, int]) -> None:
    caller = Caller(ports["tls"], {})

    def create(type: str, inputs: Properties) -> tuple[str, Properties]:
        made = caller.stub.Create(provider_pb2.CreateRequest(urn=urn(type, "it"), properties=to_struct(inputs)))
        return made.id, from_struct(made.properties)

    _, key = create("tls:index/privateKey:PrivateKey", {"algorithm": "ED25519"})
    assert isinstance(key["privateKeyPem"], Secret)
    type = "tls:index/selfSignedCert:SelfSignedCert"
    inputs: Properties = {
        "privateKeyPem": key["privateKeyPem"].value, "validityPeriodHours": 1, "earlyRenewalHours": 1, "allowedUses": []
    }  # fmt: skip
    id, certificate = create(type, inputs)
    given = to_struct(inputs)
    difference = caller.stub.Diff(
        provider_pb2.DiffRequest(id=id, urn=urn(type, "it"), olds=to_struct(certificate), old_inputs=given, news=given)
    )
    assert list(difference.replaces) == ["readyForRenewal"]
    caller.close()
