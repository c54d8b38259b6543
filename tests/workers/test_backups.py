"""The backup Workers: what they copy, compare and count."""

import json
import re
from typing import Any

import pytest

from .workerd import Host

AT = "2026-11-24T10:00:00.000Z"
BUCKETS = ["PRIMARY", "REPLICA"]
SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-north-1/s3/aws4_request, "
    r"SignedHeaders=host;[\w;-]+, Signature=[0-9a-f]{64}"
)


def event(key: str, action: str = "PutObject") -> dict[str, Any]:
    return {"action": action, "bucket": "primary", "object": {"key": key, "size": 5, "eTag": "e"}}


def last_run(host: Host, worker: str) -> tuple[str, Any]:
    row = host.sql(f"SELECT outcome, detail FROM runs WHERE worker = '{worker}' ORDER BY at DESC LIMIT 1")[0]
    return row["outcome"], json.loads(row["detail"])


def retried(result: dict[str, Any]) -> list[str]:
    return [message["msgId"] for message in result["retryMessages"]]


@pytest.mark.parametrize("worker", ["replicate", "verify", "age-out", "watch"])
def test_nothing_is_public(host: Host, worker: str) -> None:
    host.start(f"backups/{worker}", r2Buckets=BUCKETS, d1Databases=["DB"])
    assert host.fetch("/")["status"] == 404
