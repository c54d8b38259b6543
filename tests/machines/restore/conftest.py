"""Make the machines' package `restore` importable. It must not leave bytecode among the templates."""

from __future__ import annotations

import sys

from machines.files import TEMPLATES

sys.path.append(str(TEMPLATES / "database/usr/local/lib/backbuild"))
sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
import restore.listing  # noqa: E402, F401
import restore.selection  # noqa: E402, F401

sys.dont_write_bytecode = before
