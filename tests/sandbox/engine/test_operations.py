"""The operations that a change to the program causes, and their order."""

from __future__ import annotations

import json

from tests.sandbox.engine.conftest import Stack


def test_an_update_changes_only_the_resource_and_its_dependents(stack: Stack) -> None:
    program = """
    a = Thing("a", name="a", size={size})
    b = Thing("b", name="b", ref=a.address)
    c = Thing("c", name="c", size=a.size)
    """.replace("a.size", "{size}")
    stack.up(program.format(size=1))
    stack.forget_calls()
    changed = stack.up(program.format(size=2))
    assert changed.changed == {"a": "update", "c": "update"}
    step = next(step for step in changed.document["steps"] if step["urn"].endswith("::a"))
    assert step["diff"] == {"size": {"kind": "update", "old": 1, "new": 2}}
    assert sorted(stack.calls) == ["update a", "update c"]


def test_a_replacement_creates_first_updates_dependents_and_deletes_last(stack: Stack) -> None:
    program = """
    a = Thing("a", zone="{zone}")
    b = Thing("b", name="b", ref=a.address)
    """
    stack.up(program.format(zone="one"))
    stack.forget_calls()
    planned = stack.preview(program.format(zone="two"))
    assert planned.changed == {"a": "replace", "b": "update"}
    assert stack.up().changed == {"a": "replace", "b": "update"}
    assert stack.calls == ["create a", "update b", "delete a"]
    assert len(stack.objects) == 2
    assert stack.up().changed == {}


def test_delete_before_replace_deletes_only_dependents_that_need_replacement(stack: Stack) -> None:
    program = """
    root = Thing("root", name="root", slot="{slot}")
    replaced = Thing("replaced", name="replaced", zone=root.address)
    below = Thing("below", name="below", slot=replaced.address)
    updated = Thing("updated", name="updated", ref=root.address)
    chained = Thing("chained", name="chained", opts=Opts(depends_on=[root]))
    """
    stack.up(program.format(slot="one"))
    stack.forget_calls()
    changes = {"root": "replace", "replaced": "replace", "below": "replace", "updated": "update"}
    planned = stack.preview(program.format(slot="two"))
    assert planned.changed == changes
    # The new root has the old one's name and therefore its address: no dependent needs an update.
    assert stack.up().changed == {name: op for name, op in changes.items() if op == "replace"}
    assert stack.calls[:3] == ["delete below", "delete replaced", "delete root"]
    assert sorted(stack.calls[3:]) == ["create below", "create replaced", "create root"]
    assert not any(entry.get("pendingReplacement") for entry in stack.resources.values())


def test_the_option_delete_before_replace(stack: Stack) -> None:
    program = 'a = Thing("a", name="fixed", zone="{zone}", opts=Opts(delete_before_replace=True))'
    stack.up(program.format(zone="one"))
    stack.forget_calls()
    stack.up(program.format(zone="two"))
    assert stack.calls == ["delete a", "create a"]


def test_a_dependent_deleted_for_a_replacement_and_no_longer_declared_is_removed(stack: Stack) -> None:
    stack.up('a = Thing("a", name="a", slot="one")\nb = Thing("b", name="b", zone=a.address)')
    changed = stack.up('a = Thing("a", name="a", slot="two")')
    assert changed.changed == {"a": "replace", "b": "delete"}
    assert set(stack.objects) == {"id-a"}


def test_protected_resources_are_neither_deleted_nor_replaced(stack: Stack) -> None:
    program = 'a = Thing("a", name="a", slot="{slot}", opts=Opts(protect=True))'
    stack.up(program.format(slot="one"))
    stack.forget_calls()
    for command in (stack.preview, stack.up):
        refused = command(program.format(slot="two"), code=1)
        assert "protected" in refused.document["errors"][0]["message"]
    gone = stack.preview("", code=1)
    assert "::a" in gone.document["errors"][0]["message"]
    assert stack.up("", code=1).document["errors"] == gone.document["errors"]
    refused = stack.run("destroy", "--json", code=1)
    assert "::a" in refused.document["errors"][0]["message"]
    assert refused.document["summary"]["delete"] == 0
    assert stack.calls == []
    stack.up(program.format(slot="one").replace("True", "False"))
    stack.up("")
    assert stack.calls == ["delete a"]


def test_destroy_deletes_protected_resources_if_told_to(stack: Stack) -> None:
    stack.up('a = Thing("a", name="a", opts=Opts(protect=True))')
    gone = stack.run("destroy", "--unprotect", "--json")
    assert gone.summary["delete"] == 2
    assert stack.objects == {}
    assert stack.resources == {}


def test_ignore_changes(stack: Stack) -> None:
    program = """
    Thing("a", name="a", size={size}, tags={{"x": "{x}", "y": "{x}"}}, opts=Opts(ignore_changes=["size", "tags.x"]))
    """
    stack.up(program.format(size=1, x="old"))
    changed = stack.up(program.format(size=2, x="new"))
    assert changed.changed == {"a": "update"}
    assert stack.resources["a"]["inputs"] == {"name": "a", "size": 1, "tags": {"x": "old", "y": "new"}}


def test_replace_on_changes(stack: Stack) -> None:
    program = 'Thing("a", size={size}, opts=Opts(replace_on_changes=["size"]))'
    stack.up(program.format(size=1))
    assert stack.up(program.format(size=2)).changed == {"a": "replace"}
    assert len(stack.objects) == 1


def test_a_rename_with_an_alias_keeps_the_object(stack: Stack) -> None:
    stack.up('group = Group("group")\na = Thing("a", name="a", opts=Opts(parent=group))\nThing("b", ref=a.address)')
    stack.forget_calls()
    renamed = stack.up("""
    import pulumi as p
    group = Group("team", opts=Opts(aliases=[p.Alias(name="group")]))
    a = Thing("z", name="a", opts=Opts(parent=group, aliases=[p.Alias(name="a", parent=group)]))
    Thing("b", ref=a.address)
    """)
    assert renamed.changed == {}
    assert stack.calls == []
    assert {"team", "z", "b"} <= stack.resources.keys()
    assert not {"a", "group"} & stack.resources.keys()


def test_retain_on_delete_leaves_the_object(stack: Stack) -> None:
    stack.up('Thing("a", name="a", opts=Opts(retain_on_delete=True))')
    assert stack.up("").changed == {"a": "delete"}
    assert set(stack.objects) == {"id-a"}
    assert "a" not in stack.resources


def test_a_failed_create_stops_the_run_and_the_next_run_continues(stack: Stack) -> None:
    program = """
    a = Thing("a", name="a")
    bad = Thing("bad", name="bad", ref=a.address, fail={fail})
    below = Thing("below", name="below", ref=bad.address)
    """
    failed = stack.up(program.format(fail=True), code=1)
    assert ["the cloud rejects the call" in error["message"] for error in failed.document["errors"]] == [True]
    assert stack.calls == ["create a", "failed bad"]
    assert "a" in stack.resources
    assert "bad" not in stack.resources
    done = stack.up(program.format(fail=False))
    assert done.changed == {"bad": "create", "below": "create"}
    assert "pending_operations" not in json.loads((stack.folder / "state.json").read_text())["deployment"]


def test_a_preview_reports_all_invalid_inputs(stack: Stack) -> None:
    refused = stack.preview(
        """
        a = Thing("a", size=101)
        b = Thing("b", colour="red", ref=a.address)
        c = Thing("c")
        """,
        code=1,
    )
    messages = [error["message"] for error in refused.document["errors"]]
    assert len(messages) == 2
    assert any("::a: size: must be at most 100" in message for message in messages)
    assert any("::b: colour: no such property" in message for message in messages)
    assert "c" in refused.ops


def test_reads_and_invokes(stack: Stack) -> None:
    stack.up('Thing("a", name="a")')
    done = stack.up("""
    there = Thing("there", opts=Opts(id="id-a"))
    provider = Provider("far", region="mars")
    said = pulumi.runtime.invoke("fake:index:echo", {"say": "hello"}, pulumi.InvokeOptions(provider=provider))
    pulumi.export("address", there.address)
    pulumi.export("said", said.value)
    Thing("a", name="a")
    """)
    assert done.ops["there"] == "read"
    assert done.document["outputs"] == {"address": "address-of-a", "said": {"said": "hello", "region": "mars"}}
    assert stack.resources["there"]["external"] is True
    assert stack.up('Thing("a", name="a")').changed == {"there": "delete", "far": "delete"}
    assert set(stack.objects) == {"id-a"}


def test_explicit_and_default_providers(stack: Stack) -> None:
    (stack.root / "Pulumi.dev.yaml").write_text("config:\n  fake:region: earth\n")
    planned = stack.preview("""
    far = Provider("far", region="mars")
    Thing("here", name="here")
    Thing("there", name="there", opts=Opts(provider=far))
    """)
    assert planned.ops == {"test-dev": "create", "far": "create", "here": "create", "there": "create"}
    stack.up()
    resources = stack.resources
    default = resources["default_1_0_0"]
    assert default["inputs"] == {"region": "earth", "version": "1.0.0", "__internal": {}}
    assert resources["here"]["provider"] == f"{default['urn']}::{default['id']}"
    assert resources["there"]["provider"] == f"{resources['far']['urn']}::{resources['far']['id']}"
    assert stack.objects["id-there"]["outputs"]["region"] == "mars"
    assert stack.objects["id-here"]["outputs"]["region"] == "earth"
    assert stack.up().changed == {}
