"""The program takes its configuration from wherever the engine has put it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from sandbox.engine import project
from tests.components.stacks import ROOT

# As the Automation API runs a program: the configuration is in the SDK, and nothing is in the environment.
PROGRAM = """
import json, runpy, sys
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


def test_the_configuration_is_found_in_the_sdk_when_the_environment_has_none() -> None:
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
