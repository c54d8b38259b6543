"""A stack's life cycle: preview, up, change, refresh, destroy."""

from __future__ import annotations

from tests.sandbox.engine.conftest import Stack

SMALL = """
group = Group("group")
a = Thing("a", name="a", size=1, opts=Opts(parent=group))
b = Thing("b", name="b", ref=a.address, opts=Opts(parent=group))
pulumi.export("address", b.address)
"""


def test_preview_up_again_and_destroy(stack: Stack) -> None:
    planned = stack.preview(SMALL)
    assert planned.summary == {"same": 0, "create": 4, "update": 0, "replace": 0, "delete": 0}
    assert planned.document["outputs"] == {"address": "[unknown]"}
    assert not stack.folder.exists()

    done = stack.run("up", "--json")  # with its own plan first
    assert done.ops == {"test-dev": "create", "group": "create", "a": "create", "b": "create"}
    assert done.document["outputs"] == {"address": "address-of-b"}
    assert stack.calls == ["create a", "create b"]
    assert stack.resources["b"]["inputs"] == {"name": "b", "ref": "address-of-a"}
    assert set(stack.objects) == {"id-a", "id-b"}

    again = stack.up()
    assert again.summary == {"same": 4, "create": 0, "update": 0, "replace": 0, "delete": 0}

    stack.forget_calls()
    gone = stack.run("destroy", "--json")
    assert gone.summary["delete"] == 4
    assert stack.calls == ["delete b", "delete a"]
    assert stack.resources == {}
    assert stack.objects == {}
