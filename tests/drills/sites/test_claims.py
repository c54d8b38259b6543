"""One drill at a time on a stack at AWS, from whichever computer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from console.errors import InputError
from drills.sites.claims import claim, parameter_of
from tests.drills.restore.fakes import TOPOLOGY
from tests.drills.running.aws.world import REGION, simulated

NAME = parameter_of(TOPOLOGY)


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with simulated(monkeypatch):
        yield boto3.client("ssm", REGION)


def names(ssm: Any) -> list[str]:
    return [one["Name"] for one in ssm.describe_parameters()["Parameters"]]


def test_a_claim_is_held_during_the_block_and_ends_with_it(ssm: Any):
    with claim(TOPOLOGY, "drills run zone-lost"):
        assert json.loads(ssm.get_parameter(Name=NAME)["Parameter"]["Value"])["command"] == "drills run zone-lost"
    assert names(ssm) == []


def test_a_claim_ends_with_an_error_too(ssm: Any):
    with pytest.raises(RuntimeError), claim(TOPOLOGY, "drills run zone-lost"):
        raise RuntimeError
    assert names(ssm) == []


def test_a_second_claim_is_refused_and_the_first_one_stays(ssm: Any):
    with claim(TOPOLOGY, "drills run zone-lost"):
        with pytest.raises(InputError, match="staging is held by `drills run zone-lost` of "), claim(TOPOLOGY, "other"):
            pass
        assert names(ssm) == [NAME]


def test_a_claim_that_somebody_else_holds_meanwhile_is_not_removed(ssm: Any):
    with claim(TOPOLOGY, "drills run zone-lost"):
        ssm.put_parameter(Name=NAME, Value="another", Type="String", Overwrite=True)
    assert names(ssm) == [NAME]
    with pytest.raises(InputError, match="staging is held by another process"), claim(TOPOLOGY, "other"):
        pass


def test_a_claim_that_cannot_be_removed_is_a_warning_and_the_drill_ends(
    ssm: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    original = BaseClient._make_api_call

    def refuse(client: Any, operation: str, given: Any) -> Any:
        if operation == "DeleteParameter":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "123456789012 may not"}}, operation)
        return original(client, operation, given)

    with claim(TOPOLOGY, "drills run zone-lost"):
        monkeypatch.setattr(BaseClient, "_make_api_call", refuse)
    error = capsys.readouterr().err
    assert error.startswith(f"warning: the parameter {NAME} cannot be deleted: ")
    assert f"run `aws ssm delete-parameter --name {NAME}`" in error
    assert "123456789012" not in error
    assert names(ssm) == [NAME]


def test_a_claim_that_somebody_has_removed_as_stale_ends_silently(ssm: Any, capsys: pytest.CaptureFixture[str]):
    with claim(TOPOLOGY, "drills run zone-lost"):
        ssm.delete_parameter(Name=NAME)
    assert capsys.readouterr().err == ""


def test_a_user_without_a_name_has_a_number(ssm: Any, monkeypatch: pytest.MonkeyPatch):
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("drills.sites.claims.getpass.getuser", unknown)
    monkeypatch.setattr("drills.sites.claims.os.getuid", lambda: 4711)
    with claim(TOPOLOGY, "drills run zone-lost"):
        assert "user 4711 on " in ssm.get_parameter(Name=NAME)["Parameter"]["Value"]
