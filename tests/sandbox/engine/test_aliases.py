"""Aliases: the former URNs of a resource, and the operations on a resource that is found by an alias."""

from __future__ import annotations

import textwrap

import pytest

from sandbox.engine.aliases import Alias, former_urns
from tests.sandbox.engine.conftest import Stack

STACK = "urn:pulumi:dev::test"
PARENT = f"{STACK}::test:index:Pair::new"
CHILD = f"{STACK}::test:index:Pair$fake:index:Thing::new-one"


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        (Alias(urn="urn:pulumi:dev::test::x:y:Z::w"), "urn:pulumi:dev::test::x:y:Z::w"),
        (Alias(name="was"), f"{STACK}::test:index:Pair$fake:index:Thing::was"),
        (Alias(type="fake:index:Other"), f"{STACK}::test:index:Pair$fake:index:Other::new-one"),
        (Alias(no_parent=True), f"{STACK}::fake:index:Thing::new-one"),
        (Alias(parent=f"{STACK}::test:index:Group::g"), f"{STACK}::test:index:Group$fake:index:Thing::new-one"),
        (Alias(stack="old"), "urn:pulumi:old::test::test:index:Pair$fake:index:Thing::new-one"),
        (Alias(project="old"), "urn:pulumi:dev::old::test:index:Pair$fake:index:Thing::new-one"),
    ],
)
def test_an_alias_replaces_parts_of_the_current_urn(alias: Alias, expected: str) -> None:
    assert former_urns(CHILD, PARENT, [alias], {}) == [expected]


def test_former_urns_of_a_child_are_below_its_parents_former_urn() -> None:
    renamed = {PARENT: f"{STACK}::test:index:Was::old"}
    assert former_urns(CHILD, PARENT, [], renamed) == [f"{STACK}::test:index:Was$fake:index:Thing::old-one"]


def test_own_and_inherited_aliases_are_combined() -> None:
    renamed = {PARENT: f"{STACK}::test:index:Pair::old"}
    assert former_urns(CHILD, PARENT, [Alias(name="first")], renamed) == [
        f"{STACK}::test:index:Pair$fake:index:Thing::first",
        f"{STACK}::test:index:Pair$fake:index:Thing::old-one",
    ]


COMPONENT = """
class Pair(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("test:index:Pair", name, {}, opts)
        self.child = Thing(f"{name}-one", name="inside", opts=Opts(parent=self))


"""


def test_a_renamed_component_keeps_the_objects_of_its_children(stack: Stack) -> None:
    stack.up(COMPONENT + 'Pair("old")')
    stack.forget_calls()
    changed = stack.up(COMPONENT + 'Pair("new", opts=Opts(aliases=[pulumi.Alias(name="old")]))')
    assert changed.changed == {}
    assert stack.calls == []
    assert {"new", "new-one"} <= set(stack.resources)
    assert not {"old", "old-one"} & set(stack.resources)


@pytest.mark.parametrize(
    "program",
    [
        """
        Thing("a", name="a")
        Thing("b", name="b", opts=Opts(aliases=[pulumi.Alias(name="a")]))
        """,
        """
        first = Thing("b", name="b", opts=Opts(aliases=[pulumi.Alias(name="a")]))
        Thing("c", name="c", opts=Opts(aliases=[pulumi.Alias(name="a")], depends_on=[first]))
        """,
        """
        first = Thing("b", name="b", opts=Opts(aliases=[pulumi.Alias(name="a")]))
        Thing("a", name="a", opts=Opts(depends_on=[first]))
        """,
    ],
)
def test_two_resources_cannot_have_the_same_former_urn(stack: Stack, program: str) -> None:
    stack.up('Thing("a", name="a")')
    refused = stack.preview(textwrap.dedent(program), code=1)
    assert "alias" in refused.document["errors"][0]["message"]
