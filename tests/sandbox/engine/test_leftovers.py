"""Warnings about objects that their provider cannot delete."""

from __future__ import annotations

from typing import Any

from sandbox.engine.leftovers import undeletable_objects
from sandbox.engine.plan import Plan
from sandbox.engine.state import Resource

PREFIX = "urn:pulumi:dev::test"
ZONE = f"{PREFIX}::test:index:Zone::zone"


class Settings:
    """A provider that cannot delete settings."""

    def undeletable(self, type: str) -> tuple[str, str] | None:
        return ("zoneId", "declare the value") if type == "test:index:Setting" else None


class Deleting:
    """A provider that deletes everything."""


class Providers:
    def __init__(self, provider: object) -> None:
        self._provider: object = provider

    def get(self, named: str) -> Any:
        assert named == "provider"
        return self._provider


def resource(type: str, **others: Any) -> Resource:
    urn = f"{PREFIX}::{type}::{type.rpartition(':')[2].lower()}"
    return Resource(urn=urn, type=type, custom=True, provider="provider", **others)


SETTING = resource("test:index:Setting", property_dependencies={"zoneId": [ZONE]})


def warned(going: list[Resource], provider: object) -> list[tuple[str, str]]:
    return list(undeletable_objects(going, Providers(provider)))  # pyright: ignore[reportArgumentType] (the only method that is called)


def test_an_undeletable_object_gives_a_warning() -> None:
    ((urn, message),) = warned([SETTING, resource("test:index:Other")], Settings())
    assert (urn, message.endswith("which remains unchanged: declare the value")) == (SETTING.urn, True)


def test_an_object_deleted_with_its_owner_gives_no_warning() -> None:
    assert warned([SETTING, resource("test:index:Zone")], Settings()) == []


def test_the_old_object_of_a_replacement_gives_no_warning() -> None:
    assert warned([resource("test:index:Setting", delete=True)], Settings()) == []


def test_a_provider_that_can_delete_all_types_gives_no_warning() -> None:
    assert warned([SETTING], Deleting()) == []


def test_the_plan_contains_warnings() -> None:
    plan = Plan()
    assert "warnings" not in plan.to_json()
    plan.warn(SETTING.urn, "stays")
    assert plan.to_json()["warnings"] == [{"urn": SETTING.urn, "message": "stays"}]
