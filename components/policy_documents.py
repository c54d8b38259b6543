"""IAM policy documents, written the same way everywhere so that plans differ only where policies do."""

from __future__ import annotations

import json
from collections.abc import Mapping


def policy(*statements: Mapping[str, object]) -> str:
    """An IAM policy document of these statements, as canonical JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, sort_keys=True)


def assumed_by(service: str) -> str:
    """The trust policy of a role that one AWS service may assume."""
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})
