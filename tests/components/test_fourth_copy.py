"""A fourth copy in another S3-compatible store: its bindings, its encrypted key, and the verdicts of both packs."""

from __future__ import annotations

import json

import pytest

from policies.mutation.trial import firing
from policies.packs import all_rules
from policies.rule import Outcome
from policies.sources import from_export
from tests.components.project import Deployed, Project

SECRET = "a-secret-of-another-store"
ARCHIVE = {
    "name": "archive",
    "kind": "s3",
    "region": "nord-1",
    "endpoint": "https://s3.example.net",
    "bucket": "backbuild-backups",
    "accessKeyId": "AKIDEXAMPLE",
    "secretAccessKey": SECRET,
}


@pytest.fixture(scope="module")
def four(project: Project) -> Deployed:
    """Staging with a fourth copy after an `up`."""
    project.configure("four", {"backups.copies.3": ARCHIVE}, like="staging")
    return project.deployed("four", project.up("four"))


def test_the_backup_workers_have_the_copys_bindings(four: Deployed) -> None:
    for purpose in ("replicate", "verify", "age-out", "watch"):
        bound = four.bindings(f"backups-{purpose}")
        assert json.loads(bound["COPIES"]["json"])[3] == {
            "name": "archive",
            "kind": "s3",
            "bucket": "backbuild-backups",
            "region": "nord-1",
            "lockMode": "GOVERNANCE",
            "endpoint": "https://s3.example.net",
        }
        assert bound["COPY_ARCHIVE_SECRET_ACCESS_KEY"]["type"] == "secret_text"
        assert bound["COPY_ARCHIVE_SECRET_ACCESS_KEY"]["text"] == SECRET
    assert four.printed["outputs"]["buckets"]["archive"] == "backbuild-backups"


def test_the_copys_key_is_encrypted_in_the_state(four: Deployed) -> None:
    assert SECRET not in json.dumps(four.state)


def test_a_fourth_copy_makes_no_other_rule_fail(four: Deployed, staging: Deployed) -> None:
    graphs = [from_export(json.dumps(stack.revealed).encode(), "state").graph for stack in (four, staging)]
    found, expected = (firing(graph) for graph in graphs)
    # Nobody has reviewed this stack.
    assert found - {"content-is-reviewed", "reviewed-content-is-there"} == expected
    (rule,) = (rule for rule in all_rules() if rule.id == "foreign-copies-are-locked-and-apart")
    assert [verdict.outcome for verdict in rule.verdicts(graphs[0])] == [Outcome.PASS]
    assert [verdict.outcome for verdict in rule.verdicts(graphs[1])] == [Outcome.NOT_APPLICABLE]
