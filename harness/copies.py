"""The copies that tests configure for the backup Workers, and SQL expressions on their verification."""

from __future__ import annotations

from typing import Any

BUCKET, REGION = "offsite", "eu-north-1"
COPIES: list[dict[str, str]] = [
    {"name": "primary", "kind": "r2"},
    {"name": "replica", "kind": "r2"},
    {"name": "offsite", "kind": "s3", "bucket": BUCKET, "region": REGION, "lockMode": "GOVERNANCE"},
]
KEYS = {"COPY_OFFSITE_ACCESS_KEY_ID": "AKIDEXAMPLE", "COPY_OFFSITE_SECRET_ACCESS_KEY": "not-a-secret"}
BINDINGS: dict[str, Any] = {"COPIES": COPIES, **KEYS}
ARCHIVE = {
    "name": "archive",
    "kind": "s3",
    "bucket": "ledger-archive",
    "region": "nord-1",
    "lockMode": "GOVERNANCE",
    "endpoint": "https://s3.nord.example",
}
"""A fourth copy, in another S3-compatible store."""
WITH_ARCHIVE: dict[str, Any] = {
    **BINDINGS,
    "COPIES": [*COPIES, ARCHIVE],
    "COPY_ARCHIVE_ACCESS_KEY_ID": "ARCHIVEKEY",
    "COPY_ARCHIVE_SECRET_ACCESS_KEY": "not-a-secret-either",
}
BUCKETS = {"COPY_PRIMARY": "primary", "COPY_REPLICA": "replica"}
"""Buckets by binding, in miniflare's format."""

OLDEST = """
  (SELECT IIF(COUNT(*) = COUNT(verified_at), MIN(verified_at), NULL)
   FROM object_copies WHERE object_copies.key = objects.key)"""
"""SQL on a row of `objects`: the oldest verification of its copies; NULL if a copy is not verified."""

NEWEST = "(SELECT MAX(verified_at) FROM object_copies WHERE object_copies.key = objects.key)"
"""SQL on a row of `objects`: the newest verification of its copies."""


def binding(store: str) -> str:
    """Return the binding of a copy in R2."""
    return f"COPY_{store.upper()}"


def verified(store: str) -> str:
    """Return SQL on a row of `objects`: when its bytes were last verified in a copy."""
    return f"(SELECT verified_at FROM object_copies WHERE object_copies.key = objects.key AND copy = '{store}')"
