"""The copies that tests bind the backup Workers to, and what their database knows of them."""

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
"""Binding to bucket, as miniflare takes them."""

OLDEST = """
  (SELECT IIF(COUNT(*) = COUNT(verified_at), MIN(verified_at), NULL)
   FROM object_copies WHERE object_copies.key = objects.key)"""
"""SQL, of `objects`: the oldest verification; NULL while one of the copies has none."""

NEWEST = "(SELECT MAX(verified_at) FROM object_copies WHERE object_copies.key = objects.key)"
"""The same: the newest verification."""


def binding(store: str) -> str:
    """The binding of a copy in R2."""
    return f"COPY_{store.upper()}"


def verified(store: str) -> str:
    """SQL, of `objects`: when its bytes were last found right in a copy."""
    return f"(SELECT verified_at FROM object_copies WHERE object_copies.key = objects.key AND copy = '{store}')"
