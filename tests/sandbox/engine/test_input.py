"""Invalid input: configuration, files, unsupported features, and states to import."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.engine.conftest import Stack

SCHEMA = """\
name: test
runtime: {name: python}
config:
  size: {type: integer, default: 3, description: how many}
  name: {type: string}
  zones: {type: array, items: {type: string}, default: [one, two]}
  fast: {type: boolean, default: false}
  nested: {type: object, default: {b: 1, a: [true]}}
  fake:region: {value: earth}
"""


def test_configuration_is_merged_like_pulumis(stack: Stack) -> None:
    (stack.root / "Pulumi.yaml").write_text(SCHEMA)
    (stack.root / "Pulumi.dev.yaml").write_text("config:\n  test:name: seven\n  test:fast: true\n  other:key: {x: 1}\n")
    done = stack.up("""
    config = pulumi.Config()
    pulumi.export("size", config.require_int("size"))
    pulumi.export("name", config.require("name"))
    pulumi.export("fast", config.require_bool("fast"))
    pulumi.export("zones", config.require_object("zones"))
    pulumi.export("nested", config.require("nested"))
    pulumi.export("other", pulumi.Config("other").require_object("key"))
    Thing("a", name="a")
    """)
    assert done.document["outputs"] == {
        "size": 3,
        "name": "seven",
        "fast": True,
        "zones": ["one", "two"],
        "nested": '{"a":[true],"b":1}',
        "other": {"x": 1},
    }
    assert stack.objects["id-a"]["outputs"]["region"] == "earth"


def test_all_configuration_errors_are_reported_at_once(stack: Stack) -> None:
    (stack.root / "Pulumi.yaml").write_text(SCHEMA)
    (stack.root / "Pulumi.dev.yaml").write_text(
        "config:\n  test:size: many\n  test:zones: [one, [two]]\n  bare: 1\n  test:key:\n    secure: v1:abc\n"
        "  test:other:\n    hooks: [{url: {secure: v1:def}}, plain]\n"
    )
    stack.program('Thing("a")')
    refused = stack.run("preview", "--json", code=2).err
    for expected in (
        "test:size: 'many' is not of type integer",
        "test:zones[1]: '[\"two\"]' is not of type string",
        "bare: the key has no namespace; write test:bare",
        "test:key: encrypted values",
        "test:other.hooks[0].url: encrypted values",
        "test:name: stack 'dev' sets no value",
    ):
        assert expected in refused
    assert not stack.folder.exists()


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("Pulumi.dev.yaml", "config:\n  a: [1\n  b: 2\n", "Pulumi.dev.yaml:3:"),
        (
            "Pulumi.dev.yaml",
            "config:\n  test:a: 1\n  test:a: 2\n",
            "Pulumi.dev.yaml:3: the key 'test:a' is a duplicate",
        ),
        ("Pulumi.dev.yaml", "- a\n", "a mapping is expected"),
        ("Pulumi.yaml", "name: test\nruntime: go\n", "the sandbox runs only python programs"),
        ("Pulumi.yaml", "runtime: python\n", "`name` is missing"),
    ],
)
def test_an_invalid_file_is_reported_with_its_line(stack: Stack, file: str, text: str, expected: str) -> None:
    stack.program("")
    (stack.root / file).write_text(text)
    assert expected in stack.run("preview", "--json", code=2).err


def test_a_missing_file_is_reported(stack: Stack) -> None:
    stack.program("")
    (stack.root / "Pulumi.dev.yaml").rename(stack.root / "Pulumi.other.yaml")
    assert "it has: other" in stack.run("preview", "--json", code=2).err
    (stack.root / "Pulumi.yaml").unlink()
    assert "not a Pulumi project" in stack.run("preview", "--json", code=2).err


def test_a_run_error_before_the_first_resource_has_exit_code_2(stack: Stack) -> None:
    refused = stack.preview('raise pulumi.RunError("zones: one is not enough")', code=2)
    assert refused.document["errors"] == [{"urn": "", "message": "zones: one is not enough"}]
    assert "Traceback" not in refused.err
    stack.preview('Thing("a")\nraise pulumi.RunError("too late")', code=1)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ('Thing("a", opts=Opts(import_="id"))', "::a: import_ is not supported"),
        ('Thing("a", opts=Opts(custom_timeouts=pulumi.CustomTimeouts(create="1h")))', ""),
        ('a = Thing("a")\nThing("b", opts=Opts(deleted_with=a))', "deleted_with"),
        ('Thing("a", opts=Opts(transforms=[lambda args: None]))', "transforms"),
        ('Thing("a", name=pulumi.StringAsset("text"))', "asset"),
        ('Thing("a")\nThing("a")', "::a is registered twice"),
        ('pulumi.StackReference("org/project/stack")', "'pulumi' is not supported"),
        ('pulumi.runtime.invoke("fake:index:nothing", {})', "no such function"),
        ('pulumi.CustomResource("other:index:Thing", "a", {})', "'other' is not supported"),
    ],
)
def test_an_unsupported_feature_is_named(stack: Stack, program: str, expected: str) -> None:
    refused = stack.preview(program, code=1 if expected else 0)
    assert expected in refused.err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d.update(version=4), "version 4 is not supported"),
        (lambda d: d["deployment"].update(snippets=[1]), "unknown parts: snippets"),
        (lambda d: d["deployment"]["resources"][2].update(urn="urn:a"), "'urn:a' is not a URN"),
        (lambda d: d["deployment"]["resources"].reverse(), "must come before it"),
        (lambda d: d["deployment"]["resources"][-1].update(parent="urn:pulumi:dev::test::x::y"), "must come before it"),
        (lambda d: d["deployment"]["resources"][-1].update(taint=True), "taint is not supported"),
        (lambda d: d["deployment"]["resources"].append(d["deployment"]["resources"][-1]), "is a duplicate"),
        (lambda d: d["deployment"]["resources"][-1].pop("id"), "must have an id"),
    ],
)
def test_import_rejects_an_invalid_state(stack: Stack, change: object, expected: str) -> None:
    stack.up('a = Thing("a", name="a")\nThing("b", name="b", ref=a.address)')
    before = (stack.folder / "state.json").read_bytes()
    document = json.loads(before)
    change(document)  # type: ignore[operator]
    file = stack.root / "import.json"
    file.write_text(json.dumps(document))
    assert expected in stack.run("import", "--file", str(file), code=2).err
    assert (stack.folder / "state.json").read_bytes() == before
