"""A Cloudflare Worker's modules, their fingerprint, and the percentages of a rollout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.worker import shares
from model.settings import Rollout
from model.worker_modules import WORKERS, Module, ModuleError, application_of, fingerprint, modules_of

STABLE = "01234567-89ab-cdef-0123-456789abcdef"
MODULES = st.lists(
    st.builds(Module, st.text("abc/", min_size=1).map(lambda name: f"{name}.js"), st.binary(max_size=40)),
    min_size=1,
    max_size=4,
    unique_by=lambda module: module.name,
)


def write(root: Path, **files: str) -> Path:
    """Write files below `root`. In a keyword, `__` means a slash and `_js` the suffix. Return `root`."""
    for name, text in files.items():
        path = root / f"{name.removesuffix('_js').replace('__', '/')}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize("folder", ["api", "status", "backups/watch"])
def test_a_workers_modules_are_uploaded_unchanged(folder: str):
    modules = modules_of(folder)
    assert f"{folder}/index.js" in {module.name for module in modules}
    for module in modules:
        assert module.content == (WORKERS / module.name).read_bytes()
        assert module.content_type == ("application/javascript+module" if module.name.endswith(".js") else "text/plain")


def test_all_forms_of_imports_are_followed(tmp_path: Path):
    root = write(
        tmp_path,
        w__index_js="""import { a,
  b } from "./a.js";
import "../lib/effect.js";
export { c } from '../lib/c.js';
import{a as d}from"./d.js";import*as e from"./e.json";
export const note = "x"
export { f } from "./f.mjs"
""",
        w__a_js="""import * as back from "./index.js";
// import "./comment.js";
import { x } from "cloudflare:workers";
""",
        lib__effect_js='const text = `\n  import "./inside.js"`;\n',
        lib__c_js="export const c = 1;\n",
        lib__unused_js="export const d = 1;\n",
    )
    (root / "w" / "d.js").write_bytes(b"export const a = 1;\n")
    (root / "w" / "e.json").write_bytes(b'{"import": "./none.js"}')
    (root / "w" / "f.mjs").write_bytes(b'import "../lib/c.js";\n')
    names = [module.name for module in modules_of("w", root)]
    assert names == ["lib/c.js", "lib/effect.js", "w/a.js", "w/d.js", "w/e.json", "w/f.mjs", "w/index.js"]


def test_the_error_for_a_missing_module_names_its_importer(tmp_path: Path):
    root = write(tmp_path, w__index_js='import "./a.js";\n', w__a_js='import { b } from "../lib/b.js";\n')
    with pytest.raises(ModuleError, match=r"w/a\.js: there is no module lib/b\.js"):
        modules_of("w", root)


def test_a_folder_without_index_js_is_an_error(tmp_path: Path):
    with pytest.raises(ModuleError, match=r"w: there is no module w/index\.js"):
        modules_of("w", tmp_path)


def test_an_operators_script_is_uploaded_below_application(tmp_path: Path):
    root = write(tmp_path, shop__api__index_js='import "../stock.js";\n', shop__stock_js="", shop__other_js="")
    for script in ("shop/api", "./shop/api/", "shop/../shop/api"):
        application = application_of(script, root)
        assert application.main == "application/shop/api/index.js"
        assert [module.name for module in application.modules] == [
            "application/shop/api/index.js",
            "application/shop/stock.js",
        ]
    own = {module.name.split("/")[0] for folder in ("api", "status") for module in modules_of(folder)}
    assert "application" not in own


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('import "../../outside.js";', r"shop/index\.js: outside\.js is outside"),
        ('import "./link.js";', r"shop/index\.js: link\.js is outside"),
        ('import "./none.js";', r"shop/index\.js: there is no module shop/none\.js"),
        ('import "./folder";', r"shop/index\.js: there is no module shop/folder"),
        ('import "./types.ts";', r"shop/index\.js: shop/types\.ts has an unsupported type; allowed: \.js"),
        (
            'import pg from "pg";',
            r"shop/index\.js imports pg, but scripts are uploaded unbundled; remedy: bundle",
        ),
        ('import fs from "node:fs";', r"imports node:fs, but"),
        ('const a = 1;import b from"pg"', r"imports pg, but"),
    ],
)
def test_a_script_that_cannot_be_uploaded_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "outside.js").touch()
    project = tmp_path / "project"
    (project / "shop" / "folder").mkdir(parents=True)
    (project / "shop" / "types.ts").touch()
    (project / "shop" / "link.js").symlink_to(tmp_path / "outside.js")
    (project / "shop" / "index.js").write_text(f"{text}\n")
    with pytest.raises(ModuleError, match=message):
        application_of("shop", project)


@pytest.mark.parametrize("script", ["none", "..", "../project", "/etc", ""])
def test_a_folder_without_a_script_is_refused(tmp_path: Path, script: str):
    (tmp_path / "index.js").touch()
    (tmp_path / "project").mkdir()
    with pytest.raises(ModuleError, match=r"there is no module (none/)?index\.js|is outside"):
        application_of(script, tmp_path / "project")


def test_a_script_that_is_not_utf8_is_refused(tmp_path: Path):
    (tmp_path / "index.js").write_bytes(b"\xff\xfe")
    with pytest.raises(ModuleError, match=r"index\.js is not UTF-8"):
        application_of(".", tmp_path)


@given(MODULES, st.data())
def test_any_changed_byte_or_name_changes_the_fingerprint(modules: list[Module], data: st.DataObject):
    index = data.draw(st.integers(0, len(modules) - 1))
    old = modules[index]
    content = data.draw(st.binary(max_size=40).filter(lambda content: content != old.content))
    changed = [*modules[:index], Module(old.name, content), *modules[index + 1 :]]
    renamed = [*modules[:index], Module(f"{old.name}x", old.content), *modules[index + 1 :]]
    assert len({fingerprint(modules), fingerprint(changed), fingerprint(renamed)}) == 3
    assert fingerprint(modules) == fingerprint([Module(one.name, bytes(one.content)) for one in modules])
    assert re.fullmatch("[0-9a-f]{25}", fingerprint(modules))  # a version's tag may have 25 characters


def test_the_boundary_between_modules_is_part_of_the_fingerprint():
    assert fingerprint([Module("a", b"xy"), Module("b", b"")]) != fingerprint([Module("a", b"x"), Module("b", b"y")])


@pytest.mark.parametrize("percentage", [1, 10, 50, 99, 100])
def test_the_stable_version_gets_the_remaining_percentage(percentage: int):
    new, *rest = shares("new", Rollout.model_validate({"percentage": percentage, "stableVersion": STABLE}))
    assert new == {"version_id": "new", "percentage": percentage}
    assert rest == ([{"version_id": STABLE, "percentage": 100 - percentage}] if percentage < 100 else [])


def test_without_a_stable_version_all_requests_go_to_the_new_one():
    assert shares("new", Rollout()) == [{"version_id": "new", "percentage": 100}]
