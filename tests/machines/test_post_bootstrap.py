"""The script that creates the application's role and database, against a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import postgres


@pytest.fixture(scope="module")
def leader() -> Iterator[postgres.Server]:
    with postgres.running() as pair:
        yield pair.leader


def statement(server: postgres.Server, text: str) -> str:
    """Run a statement as the application. Return the rows as text."""
    options = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--command", text)
    return postgres.run(postgres.programs() / "psql", "--dbname", server.url(), *options).strip()


def test_the_application_creates_its_own_tables_and_schemas(leader: postgres.Server):
    statement(leader, "CREATE TABLE mine (id int)")
    statement(leader, "CREATE SCHEMA own; CREATE TABLE own.another (id int)")
    assert statement(leader, "SELECT count(*) FROM mine, own.another") == "0"


def test_the_application_cannot_change_the_sessions_of_others(leader: postgres.Server):
    """Superusers connect to this database. With another search path they would call the application's functions."""
    with pytest.raises(AssertionError, match="must be owner of database"):
        statement(leader, "ALTER DATABASE backbuild SET search_path = evil, pg_catalog")
