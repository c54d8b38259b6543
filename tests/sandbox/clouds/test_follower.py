"""A follower is told of each operation on an object, and can refuse it."""

from __future__ import annotations

import pytest

from sandbox.clouds import Clouds
from sandbox.clouds.cloud import Cloud
from sandbox.provider import ProviderError
from sandbox.values import Properties
from tests.sandbox.clouds.conftest import REGION, urn

TOPIC = "aws:sns/topic:Topic"
URN = urn(TOPIC, "it")


class Recorder:
    """Records what it is told, and refuses creations if it must."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.refusing: bool = False

    def creating(self, type: str, inputs: Properties) -> None:
        if self.refusing:
            raise ProviderError("refused")
        self.calls.append(("creating", type, inputs["displayName"]))

    def changed(self, type: str, id: str, outputs: Properties) -> None:
        self.calls.append(("changed", type, id, outputs["displayName"]))

    def deleting(self, type: str, id: str, outputs: Properties) -> None:
        self.calls.append(("deleting", type, id, outputs["displayName"]))

    def deleted(self, type: str, id: str, outputs: Properties) -> None:
        self.calls.append(("deleted", type, id, outputs["displayName"]))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def cloud(clouds: Clouds, recorder: Recorder) -> Cloud:
    clouds.follow(recorder)
    return clouds.provider("aws").configure({"region": REGION})


def test_a_follower_is_told_of_each_operation_in_order(cloud: Cloud, recorder: Recorder):
    id, outputs = cloud.create(URN, TOPIC, {"name": "t", "displayName": "first"}, preview=False)
    cloud.update(URN, TOPIC, id, outputs, {"name": "t", "displayName": "second"}, preview=False)
    cloud.delete(URN, TOPIC, id)
    assert recorder.calls == [
        ("creating", TOPIC, "first"),
        ("changed", TOPIC, id, "first"),
        ("changed", TOPIC, id, "second"),
        ("deleting", TOPIC, id, "second"),
        ("deleted", TOPIC, id, "second"),
    ]


def test_a_follower_is_not_told_of_previews(cloud: Cloud, recorder: Recorder):
    cloud.create(URN, TOPIC, {"name": "t", "displayName": "first"}, preview=True)
    assert recorder.calls == []


def test_an_object_that_a_follower_refuses_is_not_created(cloud: Cloud, recorder: Recorder, clouds: Clouds):
    recorder.refusing = True
    with pytest.raises(ProviderError, match="refused"):
        cloud.create(URN, TOPIC, {"name": "t", "displayName": "first"}, preview=False)
    assert clouds.objects() == []
