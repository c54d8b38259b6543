"""The graph: reading values, unknown values, and references between resources."""

from __future__ import annotations

import pytest

from policies.graph import Node, Undetermined, Unknown

from .graphs import PREFIX, graph, resource

SUBNET, INSTANCE = "aws:ec2/subnet:Subnet", "aws:ec2/instance:Instance"


def node(**properties: object) -> Node:
    return Node("urn", "", properties)  # pyright: ignore[reportArgumentType]


def test_a_path_is_read_and_a_missing_value_is_none() -> None:
    here = node(a={"b": {"c": 1}}, words=["x"], flag=True, rules=[{"id": "r"}])
    assert here.number("a.b.c") == 1
    assert here.read("a.x.c") is None
    assert here.read("a.b.c.d") is None
    assert here.text("nothing") == ""
    assert here.number("nothing") is None
    assert here.flag("nothing") is False
    assert here.words("words") == ["x"]
    assert [one.text("id") for one in here.items("rules")] == ["r"]
    assert here.items("rules")[0].path == "rules[0]"


@pytest.mark.parametrize("path", ["a", "a.b", "b.c", "b.c.d", "list", "rules"])
def test_reading_an_unknown_value_raises_undetermined(path: str) -> None:
    here = node(a=Unknown.LATER, b={"c": Unknown.SECRET}, list=Unknown.LATER, rules=Unknown.LATER)
    for read in (here.read, here.text, here.number, here.flag, here.words, here.items):
        with pytest.raises(Undetermined) as caught:
            read(path)
        assert caught.value.urn == "urn"
    assert not here.known(path)


def test_an_unknown_value_in_a_list_is_named() -> None:
    here = node(words=["x", Unknown.LATER], rules=[{"id": Unknown.LATER}])
    with pytest.raises(Undetermined, match=r"words\[1\] is known only after `up`"):
        here.words("words")
    with pytest.raises(Undetermined, match=r"rules\[0\]\.id is known only after `up`"):
        here.items("rules")[0].text("id")


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        ("text", 1, "a text is expected"),
        ("number", "many", "a number is expected"),
        ("number", True, "a number is expected"),
        ("number", float("nan"), "a number is expected"),
        ("number", "inf", "a number is expected"),
        ("flag", "true", "true or false is expected"),
        ("words", "x", "a list is expected"),
        ("items", ["x"], "a mapping is expected"),
    ],
)
def test_a_value_of_another_type_is_undetermined(read: str, value: object, expected: str) -> None:
    with pytest.raises(Undetermined, match=expected):
        getattr(node(a=value), read)("a")


def test_a_number_may_be_written_as_text() -> None:
    assert node(a="12.5").number("a") == 12.5


def test_a_reference_is_resolved_by_a_known_value() -> None:
    one = resource(SUBNET, "a", {"id": "subnet-a"})
    other = resource(SUBNET, "b", {"id": "subnet-b"})
    # The dependency names a, but the value that is sent to the cloud names b. The value counts.
    machine = resource(INSTANCE, "m", {"subnetId": "subnet-b"}, property_dependencies={"subnetId": [one.urn]})
    assert graph(one, other, machine).target(machine, "subnetId", SUBNET) is other


def test_a_reference_is_resolved_by_dependency_if_the_value_is_unknown() -> None:
    one = resource(SUBNET, "a", {"id": Unknown.LATER})
    machine = resource(INSTANCE, "m", {"subnetId": Unknown.LATER}, property_dependencies={"subnetId": [one.urn]})
    whole = graph(one, machine)
    assert whole.target(machine, "subnetId", SUBNET) is one
    assert whole.referring(one, INSTANCE, "subnetId") == [machine]


def test_an_unknown_value_without_a_dependency_is_undetermined() -> None:
    machine = resource(INSTANCE, "m", {"subnetId": Unknown.LATER})
    with pytest.raises(Undetermined, match="subnetId is known only after"):
        graph(machine).target(machine, "subnetId", SUBNET)


def test_an_ambiguous_reference_is_undetermined() -> None:
    one, other = resource(SUBNET, "a"), resource(SUBNET, "b")
    needs = {"subnetId": [one.urn, other.urn]}
    machine = resource(INSTANCE, "m", {"subnetId": Unknown.LATER}, property_dependencies=needs)
    with pytest.raises(Undetermined, match="may be any of a, b"):
        graph(one, other, machine).target(machine, "subnetId", SUBNET)


def test_a_known_value_without_a_match_refers_to_no_resource() -> None:
    one = resource(SUBNET, "a", {"id": "subnet-a"})
    machine = resource(INSTANCE, "m", {"subnetId": "subnet-x"}, property_dependencies={"subnetId": [one.urn]})
    assert graph(one, machine).target(machine, "subnetId", SUBNET) is None


def test_a_graph_without_a_stack_still_knows_its_name() -> None:
    assert graph(resource(SUBNET, "a")).name == "test"
    assert graph(resource(SUBNET, "a")).stack.urn.startswith(PREFIX)
