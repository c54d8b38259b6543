"""The program reads its configuration from the environment or from the SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from harness.stacks import REMOVED, ROOT
from sandbox.engine import project
from tests.components.project import Project

# The Automation API runs a program like this: the configuration is in the SDK and not in the environment.
PROGRAM = """
import gc, json, runpy, sys
gc.disable()  # loading the SDKs creates no garbage
import pulumi
from pulumi.runtime.mocks import Mocks, set_mocks


class Made(Mocks):
    def new_resource(self, args):
        return args.name + "-id", args.inputs

    def call(self, args):
        return {}


set_mocks(Made(), project="backbuild", stack="staging", preview=True)
pulumi.runtime.set_all_config(json.load(sys.stdin))
print(runpy.run_path("__main__.py", run_name="__main__")["settings"].domain)
"""


def test_configuration_is_read_from_the_sdk_if_the_environment_has_none() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(project.load(ROOT, "staging").config),
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["backbuild.dev"]


def test_an_invalid_configuration_stops_a_preview_before_any_resource(project: Project):
    project.configure("bad", {"contact": REMOVED, "database.consensus.members": 4, "protect": False}, like="prod")
    printed = project.run("preview", "bad", "--json", code=2)
    assert [step["urn"].rsplit("::", 2)[1] for step in printed["steps"]] == ["pulumi:pulumi:Stack"]
    (error,) = printed["errors"]
    for key in ("contact", "database.consensus.members", "protect"):
        assert f"\n  backbuild:{key}: " in error["message"]
    assert "(Pulumi.bad.yaml) has 3 problems" in error["message"]
    assert not (project.home / "bad" / "state.json").exists()
