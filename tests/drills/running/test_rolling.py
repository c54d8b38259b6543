"""Changes of a project: another image, or a bad API."""

from __future__ import annotations

from pathlib import Path

import yaml

from drills.running.rolling import broken_project, other_project, with_other_image
from model.worker_modules import PROJECT, modules_of

SETTINGS = """\
config:
  backbuild:tier: staging
  backbuild:database:
    image: ami-0d1eb4a3c5f6e7b89
    region: eu-central-1
"""


def image(text: str) -> str:
    return yaml.safe_load(text)["config"]["backbuild:database"]["image"]


def test_only_the_image_is_another_one():
    changed = with_other_image(SETTINGS)
    assert image(changed) == "ami-0d1eb4a3c5f6e7b80"
    assert image(with_other_image(changed)) == "ami-0d1eb4a3c5f6e7b81"
    assert yaml.safe_load(changed.replace("b80", "b89")) == yaml.safe_load(SETTINGS)


def test_the_other_project_is_the_same_but_for_the_settings_of_the_stack(tmp_path: Path):
    root = tmp_path / "root"
    (root / "model").mkdir(parents=True)
    (root / "Pulumi.staging.yaml").write_text(SETTINGS)
    (root / "Pulumi.prod.yaml").write_text("config: {}")
    other = other_project(root, "staging", tmp_path / "other")
    assert {one.name for one in other.iterdir()} == {one.name for one in root.iterdir()}
    assert (other / "model").resolve() == root / "model"
    assert image((other / "Pulumi.staging.yaml").read_text()) != image(SETTINGS)
    assert (root / "Pulumi.staging.yaml").read_text() == SETTINGS


def test_the_broken_project_is_the_same_but_for_an_api_that_answers_nothing(tmp_path: Path):
    broken = broken_project(PROJECT, tmp_path / "broken")
    assert {one.name for one in broken.iterdir()} == {one.name for one in PROJECT.iterdir()}
    assert not (broken / "model").is_symlink(), "the program takes the Workers from beside its model"
    assert not (broken / "workers/node_modules").exists()
    (module,) = modules_of("api", broken / "workers")
    assert b"throw new Error" in module.content
    assert modules_of("status", broken / "workers") == modules_of("status")
