"""What a machine boots with says the same with and without its comments."""

from __future__ import annotations

import ast

import pytest

from machines.comments import without_comments

SHELL = """#!/bin/sh
# Why.
# shellcheck disable=SC2086 # meant to be split
echo "# no comment" # stays
    # indented
cat <<X
$# arguments
X
"""


LEFT = """#!/bin/sh
# shellcheck disable=SC2086 # meant to be split
echo "# no comment" # stays
cat <<X
$# arguments
X
"""


def test_a_script_keeps_what_programs_read() -> None:
    assert without_comments("/usr/local/sbin/x", SHELL) == LEFT


@pytest.mark.parametrize(
    ("path", "text", "left"),
    [
        ("/etc/apt/apt.conf.d/60backbuild", '// Why.\nA "http://x";\n', 'A "http://x";\n'),
        ("/etc/backbuild/health.sql", "-- Why.\nSELECT 1 - -1; -- stays\n", "SELECT 1 - -1; -- stays\n"),
        ("/etc/backbuild/patroni.yml", "# Why.\nttl: 20 # stays\n", "ttl: 20 # stays\n"),
    ],
)
def test_each_kind_of_file_has_its_own_comments(path: str, text: str, left: str) -> None:
    assert without_comments(path, text) == left


MODULE = '''"""Usage."""


class Error(Exception):
    """All that there is."""


def f() -> str:
    """Many
    lines."""
    # Why.
    return "# x"
'''


def test_a_module_stays_the_same_program() -> None:
    left = without_comments("/usr/local/lib/backbuild/manifest.py", MODULE)
    assert left == MODULE.replace('    """Many\n    lines."""\n    # Why.\n', "")
    assert ast.parse(left)
