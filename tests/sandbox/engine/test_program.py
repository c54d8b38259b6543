"""The program's process loads an SDK's resources on demand, and finds everything that a complete import finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.stacks import ROOT
from sandbox.engine.program import LAZY_SDKS, LazyExports

LAZY = (
    "import gc, sys; gc.disable()\nfrom sandbox.engine.program import LazySdks\nsys.meta_path.insert(0, LazySdks())\n"
)


def run(code: str, text: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input=text, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize("sdk", LAZY_SDKS)
def test_lazy_sdk_has_every_public_name_of_the_complete_one(sdk: str) -> None:
    complete = run(f"import gc; gc.disable()\nimport {sdk} as sdk\nprint(*(n for n in dir(sdk) if n[0].isupper()))")
    assert len(complete.split()) > 1000
    code = f"import {sdk} as sdk\nprint(*(n for n in sys.stdin.read().split() if getattr(sdk, n).__name__ != n))"
    assert run(LAZY + code, complete).split() == []


def test_lazy_sdk_imports_only_the_modules_of_names_in_use() -> None:
    loaded = run(
        LAZY + "import pulumi_cloudflare as sdk\nsdk.R2Bucket\n"
        "print(*(n for n in ('r2_bucket', 'zone', 'worker') if 'pulumi_cloudflare.' + n in sys.modules))"
    )
    assert loaded.split() == ["r2_bucket"]


def test_lazy_sdk_reports_an_unknown_name_like_a_module() -> None:
    found = run(LAZY + "import pulumi_cloudflare as sdk\ntry: sdk.Bucket\nexcept AttributeError as error: print(error)")
    assert found == "module 'pulumi_cloudflare' has no attribute 'Bucket'\n"


def test_module_without_exports_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("from .bucket import *\n")
    (tmp_path / "bucket.py").write_text("Bucket = 1\n")
    loader = LazyExports("package", str(tmp_path / "__init__.py"))
    with pytest.raises(ImportError, match=r"bucket\.py has no __all__ .*; remove its SDK from LAZY_SDKS in"):
        loader.exec_module(type(sys)("package"))
