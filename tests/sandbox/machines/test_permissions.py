"""The stand-ins allow exactly what the role's policies allow."""

import json

import pytest

from sandbox.machines.services.permissions import allowed

READ = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": ["arn:secret:mine"]}


def policy(*statements: dict[str, object]) -> list[str]:
    return [json.dumps({"Version": "2012-10-17", "Statement": statements})]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([], False),
        ([READ], True),
        ([{**READ, "Resource": "*"}], True),
        ([{**READ, "Resource": "arn:secret:other"}], False),
        ([{**READ, "Action": ["secretsmanager:*"]}], True),
        ([{**READ, "Action": "secretsmanager:PutSecretValue"}], False),
        ([READ, {**READ, "Effect": "Deny"}], False),
        ([{**READ, "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}], True),
        ([{**READ, "Condition": {"StringEquals": {"aws:SourceVpce": ["vpce-2", "vpce-1"]}}}], True),
        ([{**READ, "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-2"}}}], False),
        ([{**READ, "Condition": {"StringEquals": {"aws:PrincipalTag/x": "y"}}}], False),
        ([{**READ, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}], False),
        ([{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}], False),
        ([READ, {"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"}], False),
    ],
)
def test_statements_are_evaluated(statements: list[dict[str, object]], expected: bool):
    context = {"aws:SourceVpce": "vpce-1"}
    assert allowed(policy(*statements), "secretsmanager:GetSecretValue", "arn:secret:mine", context) is expected
