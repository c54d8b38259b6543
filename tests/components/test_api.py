"""The API Worker (a Cloudflare Worker): the bindings of its health report, and the operator's own script."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from harness.stacks import topology_of
from model.worker_modules import modules_of
from tests.components.project import Deployed, Project, changes, opened

SCRIPT = 'import { greeting } from "../words.js";\nexport default { fetch: () => new Response(greeting) };\n'
WORDS = 'export const greeting = "hello";\n'


@pytest.fixture
def shop(project: Project) -> Project:
    """The project with an operator's script."""
    return with_script(project)


@pytest.fixture(scope="module")
def deployed(project: Project) -> Any:
    """The decrypted state of the stack `shop` with that script, after an `up`."""
    with_script(project).configure("shop", {"api.script": "shop/api"}, like="staging")
    project.up("shop")
    return project.run("export", "shop", "--show-secrets")


def with_script(project: Project) -> Project:
    folder = project.folder / "shop" / "api"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.js").write_text(SCRIPT)
    (folder.parent / "words.js").write_text(WORDS)
    return project


def test_the_health_report_has_the_stanza_of_every_group(prod: Deployed):
    bound = prod.bindings("api")
    groups = [group.name for group in topology_of("prod").database_groups]
    assert json.loads(bound["STANZAS"]["json"]) == groups == ["coordinator", "worker-1", "worker-2"]
    assert bound["BACKUPS"]["bucketName"] == topology_of("prod").primary.bucket


def test_without_a_script_no_module_is_added(prod: Deployed):
    version = prod.inputs("WorkerVersion")["api"]
    assert "APPLICATION" not in prod.bindings("api")
    assert {one["name"] for one in version["modules"]} == {module.name for module in modules_of("api")}


def test_no_worker_can_import_its_bindings(prod: Deployed):
    for version in prod.inputs("WorkerVersion").values():
        assert version["compatibilityFlags"] == ["disallow_importable_env"]


def test_a_script_is_uploaded_beside_the_health_report(deployed: Any):
    state = deployed["deployment"]["resources"]
    (version,) = [one["inputs"] for one in state if one["urn"].endswith("WorkerVersion::api")]
    modules = {one["name"]: base64.b64decode(one["contentBase64"]).decode() for one in version["modules"]}
    assert modules.pop("application/shop/api/index.js") == SCRIPT
    assert modules.pop("application/shop/words.js") == WORDS
    assert modules.keys() == {module.name for module in modules_of("api")}
    assert version["mainModule"] == "api/index.js"
    (loaded,) = [one["text"] for one in opened(version["bindings"]) if one["name"] == "APPLICATION"]
    assert loaded == "../application/shop/api/index.js"


@pytest.mark.usefixtures("deployed")
def test_a_changed_script_is_a_new_version(shop: Project):
    (shop.folder / "shop" / "words.js").write_text('export const greeting = "goodbye";\n')
    planned = shop.run("preview", "shop", "--json")
    assert changes(planned) == {"replace": {"WorkerVersion::api", "WorkersDeployment::api"}}


def test_a_script_that_cannot_be_uploaded_stops_a_preview(shop: Project):
    (shop.folder / "shop" / "words.js").unlink()
    shop.configure("bad", {"api.script": "shop/api"}, like="staging")
    (error,) = shop.run("preview", "bad", "--json", code=2)["errors"]
    assert (
        "\n  backbuild:api.script: shop/api/index.js: there is no module shop/words.js; allowed: " in error["message"]
    )
