"""Leaves comments out of what a machine boots with: they are for whoever reads `templates/`, and user data is limited.

Whole lines alone: what stands behind code on the same line stays.
"""

from __future__ import annotations

import ast
import re
from functools import cache

_APT = re.compile(r"^\s*//.*\n", re.MULTILINE)
_SQL = re.compile(r"^\s*--.*\n", re.MULTILINE)
# Shell, Python, YAML, units and the rest. What programs read is no comment: `#!`, and what shellcheck is told.
_OTHERS = re.compile(r"^[ \t]*#(?!!|[ \t]*shellcheck ).*\n", re.MULTILINE)
_BY_FOLDER_OR_SUFFIX = (("/etc/apt/apt.conf.d/", _APT), (".sql", _SQL))


def without_comments(path: str, text: str) -> str:
    """The text of a file without its comments; of a Python module, without functions' and classes' docstrings too."""
    comment = next((found for part, found in _BY_FOLDER_OR_SUFFIX if part in path), _OTHERS)
    return comment.sub("", _without_docstrings(text) if path.endswith(".py") else text)


@cache  # a module is the same on every machine of a role, and parsing it takes most of rendering
def _without_docstrings(source: str) -> str:
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if (
            not isinstance(node, ast.FunctionDef | ast.ClassDef)
            or ast.get_docstring(node) is None
            or len(node.body) == 1
        ):
            continue
        docstring = node.body[0]
        for number in range(docstring.lineno - 1, docstring.end_lineno or docstring.lineno):
            lines[number] = ""
    return "".join(lines)
