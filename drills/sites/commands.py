"""Shell commands that drills and restores run on database machines. Pure."""

from __future__ import annotations

import shlex

from model.topology import DATABASE_NAME


def as_postgres(*words: str) -> str:
    """Return the command that runs a program as the database's account."""
    return shlex.join(["runuser", "-u", "postgres", "--", *words])


def psql(*options: str) -> list[str]:
    """Return the words that run psql in the application's database; it prints only values, and fails at an error."""
    return ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", DATABASE_NAME, *options]
