"""IAM policy documents as canonical JSON, so that a plan shows a difference only if a policy changes."""

from __future__ import annotations

import json
from collections.abc import Mapping


def policy(*statements: Mapping[str, object]) -> str:
    """Return an IAM policy document with these statements, as canonical JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)


def assumed_by(service: str) -> str:
    """Return the trust policy of a role that one AWS service may assume."""
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})
