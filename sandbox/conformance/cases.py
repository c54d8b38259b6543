"""Small programs on the cloud of `things.py`, and their changes: one case for each behaviour of an engine.

A case is a list of steps that both engines run. An `Unsupported` step has an option that the sandbox's engine rejects.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Run:
    """Preview and update with this program. `fails`: both engines must fail."""

    program: str
    fails: bool = False


@dataclass(frozen=True)
class Change:
    """Change a property of the named object in the cloud without the engine; if `value` is None, delete the object."""

    name: str
    property: str = ""
    value: str | None = None


@dataclass(frozen=True)
class Refresh:
    """Read every object."""


@dataclass(frozen=True)
class Kill:
    """Update with this program and kill the engine when it calls the cloud to create the named object."""

    program: str
    name: str


@dataclass(frozen=True)
class Destroy:
    """Destroy the stack. `fails`: both engines must fail."""

    fails: bool = False


@dataclass(frozen=True)
class Unsupported:
    """The sandbox's engine rejects this program and names the option; Pulumi's engine supports it."""

    program: str
    option: str


Step = Run | Change | Refresh | Kill | Destroy | Unsupported


@dataclass(frozen=True)
class Case:
    """One behaviour: its name and the steps that test it."""

    name: str
    steps: tuple[Step, ...]


def _runs(*programs: str) -> tuple[Run, ...]:
    return tuple(Run(textwrap.dedent(program)) for program in programs)


def _group(body: str) -> str:
    """Return a program with a component that creates one child."""
    return textwrap.dedent(
        """
        class Pair(pulumi.ComponentResource):
            def __init__(self, name, child="child", opts=None, child_opts=None):
                super().__init__("test:index:Pair", name, {}, opts)
                merged = Opts.merge(Opts(parent=self), child_opts)
                self.child = Thing(f"{name}-{child}" if child == "child" else child, name="inside", opts=merged)
                self.register_outputs({"address": self.child.address})

        """
    ) + textwrap.dedent(body)


_CHAIN: Final = """
    root = Thing("root", name="root", slot="{slot}")
    replaced = Thing("replaced", name="replaced", zone=root.address)
    below = Thing("below", name="below", slot=replaced.address)
    updated = Thing("updated", name="updated", ref=root.address)
    chained = Thing("chained", name="chained", opts=Opts(depends_on=[root]))
"""
_KINDS: Final = """
    class Pair(pulumi.ComponentResource):
        def __init__(self, name, opts=None):
            super().__init__("test:index:Pair", name, {}, opts)
            self.one = Thing(f"{name}-one", name="one", size=SIZE, opts=Opts(parent=self))
            secret = pulumi.Output.secret("s3cr3t")
            self.two = Thing(f"{name}-two", ref=self.one.address, password=secret, opts=Opts(parent=self))
            self.register_outputs({"two": self.two.address})

    pair = Pair("pair")
    west = Provider("west", region="eu-west-1")
    far = Thing("far", name="far", tags={"a": "b"}, opts=Opts(provider=west, depends_on=[pair]))
    pulumi.export("address", pair.two.address)
    pulumi.export("secret", pair.two.password)
"""

_TWO: Final = """
    a = Thing("a", name="a", size=2)
    b = Thing("b", name="b"{options}, opts=Opts(depends_on=[a]))
"""
_THREE: Final = (
    _TWO.format(options="")
    + """
    c = Thing("c", name="c", ref=b.address)
"""
)

CASES: Final[tuple[Case, ...]] = (
    Case(
        "a program with every kind of resource, created and changed",
        _runs("SIZE = 1\n" + textwrap.dedent(_KINDS), "SIZE = 2\n" + textwrap.dedent(_KINDS)),
    ),
    Case(
        "a resource is added and another removed",
        _runs(*(f'a = Thing("a", name="a")\n{name} = Thing("{name}", ref=a.address)' for name in ("b", "c"))),
    ),
    Case("a resource is renamed", _runs('Thing("a", name="a1")', 'Thing("b", name="b1")')),
    Case(
        "a resource is renamed with an alias",
        _runs(
            'a = Thing("a", name="a")\nThing("b", ref=a.address)',
            'a = Thing("z", name="a", opts=Opts(aliases=[pulumi.Alias(name="a")]))\nThing("b", ref=a.address)',
            'a = Thing("z", name="a")\nThing("b", ref=a.address)',
        ),
    ),
    Case(
        "a child of a renamed component is found by an inherited alias",
        _runs(
            _group('Pair("old")'),
            _group('Pair("new", opts=Opts(aliases=[pulumi.Alias(name="old")]))'),
            _group('Pair("new")'),
        ),
    ),
    Case(
        "a component and its child are both renamed",
        _runs(
            _group('Pair("old", child="first")'),
            _group(
                """
                Pair("new", child="second", opts=Opts(aliases=[pulumi.Alias(name="old")]),
                    child_opts=Opts(aliases=[pulumi.Alias(name="first")]))
                """
            ),
        ),
    ),
    Case(
        "a child moves out of its component with an alias",
        _runs(
            _group('Pair("old", child="first")'),
            _group(
                """
                urn = "urn:pulumi:dev::test::test:index:Pair$fake:index:Thing::first"
                Thing("first", name="inside", opts=Opts(aliases=[urn]))
                """
            ),
        ),
    ),
    Case(
        "a component changes its type with an alias",
        _runs(
            'g = Group("g")\nThing("a", name="a", opts=Opts(parent=g))',
            """
            class Other(pulumi.ComponentResource):
                def __init__(self, name):
                    was = Opts(aliases=[pulumi.Alias(type_="test:index:Group")])
                    super().__init__("test:index:Other", name, {}, was)

            g = Other("g")
            Thing("a", name="a", opts=Opts(parent=g))
            """,
        ),
    ),
    Case(
        "components in components are renamed, with aliases at both levels",
        _runs(
            'g = Group("g")\nh = Group("h", opts=Opts(parent=g))\nThing("a", name="a", opts=Opts(parent=h))',
            """
            g = Group("g2", opts=Opts(aliases=[pulumi.Alias(name="g")]))
            h = Group("h2", opts=Opts(parent=g, aliases=[pulumi.Alias(name="h")]))
            Thing("a2", name="a", opts=Opts(parent=h, aliases=[pulumi.Alias(name="a")]))
            """,
        ),
    ),
    Case(
        "a protected resource is neither replaced nor deleted",
        (
            *_runs('Thing("a", name="a", slot="one", opts=Opts(protect=True))'),
            Run('Thing("a", name="a", slot="two", opts=Opts(protect=True))', fails=True),
            Destroy(fails=True),
            Run('Thing("b", name="b")', fails=True),
            *_runs('Thing("a", name="a", slot="one")', 'Thing("b", name="b")'),
        ),
    ),
    Case(
        "ignore_changes keeps the object's values",
        _runs(
            'Thing("a", name="a", size=1, tags={"x": "1", "y": "1"})',
            'Thing("a", name="a", size=2, tags={"x": "2", "y": "2"}, opts=Opts(ignore_changes=["size", "tags.x"]))',
            'Thing("a", name="a", size=2, tags={"x": "2", "y": "2"}, opts=Opts(ignore_changes=["tags"]))',
            'Thing("a", name="a", size=3, tags={"x": "2", "y": "2"})',
        ),
    ),
    Case(
        "ignore_changes on a secret and on an element of a list",
        _runs(
            'Thing("a", name="a", refs=["r1", "r2"], tags={"s": pulumi.Output.secret("s1")})',
            """
            Thing("a", name="a", refs=["q1", "q2"], tags={"s": pulumi.Output.secret("s2")},
                opts=Opts(ignore_changes=["refs[0]", "tags.s"]))
            """,
        ),
    ),
    Case(
        "a chain with delete-before-replace in the middle",
        _runs(_CHAIN.format(slot="one"), _CHAIN.format(slot="two")),
    ),
    Case(
        "delete_before_replace by option, with dependents",
        _runs(
            *(
                f"""
                a = Thing("a", name="fixed", zone="{zone}", opts=Opts(delete_before_replace=True))
                b = Thing("b", ref=a.address)
                c = Thing("c", zone=b.address)
                """
                for zone in ("one", "two")
            )
        ),
    ),
    Case(
        "delete_before_replace switched off by option",
        _runs(*(f'Thing("a", slot="{slot}", opts=Opts(delete_before_replace=False))' for slot in ("one", "two"))),
    ),
    Case(
        "a replacement creates first, updates dependents and deletes last",
        _runs(*(f'a = Thing("a", zone="{zone}")\nb = Thing("b", name="b", ref=a.address)' for zone in ("one", "two"))),
    ),
    Case(
        "members chained by depends_on are replaced one by one",
        _runs(
            *(
                f"""
                before = []
                for index in range(3):
                    member = Thing(f"member-{{index}}", zone="{zone}", opts=Opts(depends_on=before))
                    before = [Thing(f"gate-{{index}}", ref=member.address)]
                """
                for zone in ("one", "two")
            )
        ),
    ),
    Case(
        "replace_on_changes turns an update into a replacement",
        _runs(
            *(
                f'a = Thing("a", size={size}, opts=Opts(replace_on_changes=["size"]))\nb = Thing("b", ref=a.address)'
                for size in (1, 2)
            )
        ),
    ),
    Case(
        "replace_on_changes with a star, and a nested path",
        _runs(
            *(
                f"""
                Thing("a", tags={{"x": "{star}"}}, opts=Opts(replace_on_changes=["*"]))
                Thing("b", tags={{"x": "{x}", "y": "{y}"}}, opts=Opts(replace_on_changes=["tags.x"]))
                """
                for star, x, y in ((1, 1, 1), (2, 1, 2), (2, 2, 2))
            )
        ),
    ),
    Case(
        "retain_on_delete leaves the object",
        _runs('Thing("a", name="a", opts=Opts(retain_on_delete=True))\nThing("b", name="b")', 'Thing("b", name="b")'),
    ),
    Case(
        "retain_on_delete leaves the old object of a replacement",
        _runs(*(f'Thing("a", zone="{zone}", opts=Opts(retain_on_delete=True))' for zone in ("one", "two"))),
    ),
    Case(
        "a secret changes",
        _runs(
            *(
                f'a = Thing("a", name="a", password=pulumi.Output.secret("{word}"))\npulumi.export("p", a.password)'
                for word in ("one", "two")
            )
        ),
    ),
    Case(
        "a value becomes secret, and then plain again",
        _runs(
            'Thing("a", name="x", opts=Opts(replace_on_changes=["*"]))',
            'Thing("a", name=pulumi.Output.secret("x"), opts=Opts(replace_on_changes=["*"]))',
            'Thing("a", name="x", opts=Opts(replace_on_changes=["*"]))',
        ),
    ),
    Case(
        "additional_secret_outputs",
        _runs(
            *(
                f'a = Thing("a", name="a", opts=Opts({option}))\npulumi.export("address", a.address)'
                for option in ("", 'additional_secret_outputs=["address"]')
            )
        ),
    ),
    Case(
        "an object drifts",
        (
            *_runs('a = Thing("a", name="a", size=1)\nThing("b", ref=a.address)'),
            Change("a", "size", "7"),
            Refresh(),
            *_runs('a = Thing("a", name="a", size=1)\nThing("b", ref=a.address)'),
        ),
    ),
    Case(
        "an object is deleted in the cloud",
        (
            *_runs('a = Thing("a", name="a")\nThing("b", name="b", ref=a.address)\nThing("c", name="c")'),
            Change("a"),
            Refresh(),
            *_runs('a = Thing("a", name="a")\nThing("b", name="b", ref=a.address)\nThing("c", name="c")'),
        ),
    ),
    Case(
        "a step fails, and the next update continues",
        (
            *_runs('Thing("a", name="a", size=1)'),
            Run(textwrap.dedent(_TWO.format(options=", fail=True")), fails=True),
            *_runs(_TWO.format(options="")),
        ),
    ),
    Case(
        "an input is invalid",
        (Run('Thing("a", name="a", size=101)', fails=True), *_runs('Thing("a", name="a", size=100)')),
    ),
    Case(
        "a program fails after its first resources",
        (
            *_runs('a = Thing("a", name="a")'),
            Run('a = Thing("a", name="a", size=5)\na.serial.apply(lambda _: 1 / 0)', fails=True),
            *_runs('a = Thing("a", name="a", size=5)'),
        ),
    ),
    Case(
        "two resources with the same name",
        (
            Run('a = Thing("a", name="a")\nThing("a", name="b", opts=Opts(depends_on=[a]))', fails=True),
            *_runs('Thing("a", name="a")'),
        ),
    ),
    Case(
        "an update is killed in the middle",
        (*_runs('a = Thing("a", name="a", size=1)'), Kill(textwrap.dedent(_THREE), "b"), *_runs(_THREE)),
    ),
    Case(
        "everything is destroyed",
        (*_runs("SIZE = 1\n" + textwrap.dedent(_KINDS)), Destroy(), *_runs("SIZE = 1\n" + textwrap.dedent(_KINDS))),
    ),
    Case(
        "an explicit provider changes its configuration",
        _runs(
            *(
                f'west = Provider("west", region="{region}")\nThing("far", name="far", opts=Opts(provider=west))'
                for region in ("eu-west-1", "eu-west-2")
            )
        ),
    ),
    Case(
        "a resource moves to another provider of the same configuration",
        _runs(
            'west = Provider("west", region="eu-west-1")\nThing("far", name="far", opts=Opts(provider=west))',
            'other = Provider("other", region="eu-west-1")\nThing("far", name="far", opts=Opts(provider=other))',
        ),
    ),
    Case(
        "dependencies change and nothing else",
        _runs(
            'a = Thing("a", name="a")\nb = Thing("b", name="b")',
            'a = Thing("a", name="a")\nb = Thing("b", name="b", opts=Opts(depends_on=[a]))',
        ),
    ),
    Case(
        "custom timeouts change and nothing else",
        _runs(
            *(
                f'Thing("a", name="a", opts=Opts({option}))'
                for option in ("", 'custom_timeouts=pulumi.CustomTimeouts(create="5m")')
            )
        ),
    ),
    Case(
        "a list grows, shrinks and changes",
        _runs(*(f'Thing("a", name="a", refs={refs})' for refs in (["1", "2"], ["1", "2", "3"], ["2"], []))),
    ),
    Case("import_ is unsupported", (Unsupported('Thing("a", name="a", opts=Opts(import_="id-a"))', "import_"),)),
    Case(
        "deleted_with is unsupported",
        (Unsupported('a = Thing("a", name="a")\nThing("b", name="b", opts=Opts(deleted_with=a))', "deleted_with"),),
    ),
    Case(
        "transforms are unsupported",
        (Unsupported('Thing("a", name="a", opts=Opts(transforms=[lambda args: None]))', "transforms"),),
    ),
)
