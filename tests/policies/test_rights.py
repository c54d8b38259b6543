"""Rights of principals, computed from attachments of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from policies.graph import Graph, Resource, Undetermined, Unknown
from policies.packs import all_rules
from policies.rule import Outcome
from policies.rules.access.needs import table
from policies.views.permissions import API_TOKEN, BUCKET_POLICY, KEY, ROLE, ROLE_ATTACHMENT, ROLE_POLICY, USER
from policies.views.rights.attachments import (
    EXCLUSIVE,
    GRANT,
    GROUP,
    GROUP_MEMBERSHIP,
    GROUP_POLICY,
    KEY_POLICY,
    POLICY,
    POLICY_ATTACHMENT,
    SECRET,
    SECRET_POLICY,
    TOPIC,
    TOPIC_POLICY,
    USER_MEMBERSHIP,
)
from policies.views.rights.principals import principals, trusted_by
from policies.views.vault import R2, S3

from .graphs import graph, resource

ROLE_ARN = "arn:aws:iam::1234:role/job"
ONE = resource(ROLE, "job", {"name": "job", "arn": ROLE_ARN})
WRITER = resource(USER, "writer", {"name": "writer", "arn": "arn:aws:iam::1234:user/writer"})
BUCKET = resource(S3, "files", {"bucket": "files", "arn": "arn:aws:s3:::files"})
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def document(action: object, where: object = "*", effect: str = "Allow", **elements: Any) -> str:
    return json.dumps({"Statement": [{"Effect": effect, "Action": action, "Resource": where, **elements}]})


def rights(label: str, *resources: Resource) -> list[str]:
    """Return the rights of one principal, sorted; an unreadable attachment is an error."""
    found = principals(graph(ONE, WRITER, BUCKET, *resources)).get(label)
    assert found is None or not found.unclear
    return sorted(one.text for one in found.rights) if found else []


def of_role(*resources: Resource) -> list[str]:
    return rights("Role job", *resources)


def test_a_right_names_the_stacks_resource_and_the_condition() -> None:
    condition = {"StringEquals": {"aws:SourceVpce": "vpce-1"}, "Bool": {"aws:MultiFactorAuthPresent": ["true"]}}
    endpoint = resource("aws:ec2/vpcEndpoint:VpcEndpoint", "s3", {"id": "vpce-1"})
    text = document(["s3:GetObject", "s3:List*"], ["arn:aws-cn:s3:::files/*", "arn:aws:s3:::b"], Condition=condition)
    suffix = "if Bool aws:MultiFactorAuthPresent true and StringEquals aws:SourceVpce VpcEndpoint s3"
    assert of_role(endpoint, resource(ROLE_POLICY, "p", {"role": "job", "policy": text})) == [
        f"s3:GetObject on Bucket files/* {suffix}",
        f"s3:GetObject on arn:aws:s3:::b {suffix}",
        f"s3:List* on Bucket files/* {suffix}",
        f"s3:List* on arn:aws:s3:::b {suffix}",
    ]


def test_resources_with_the_same_label_are_told_apart() -> None:
    twin = Resource(f"urn:pulumi:test::backbuild::x:y:Z${S3}::files", S3, {"arn": "arn:aws:s3:::other"})
    text = document("s3:GetObject", "arn:aws:s3:::other/*")
    (found,) = of_role(twin, resource(ROLE_POLICY, "p", {"role": "job", "policy": text}))
    assert found == f"s3:GetObject on Bucket files ({twin.urn})/*"


OWN = {"arn": "arn:aws:iam::1234:policy/own", "policy": document("s3:*")}


@pytest.mark.parametrize(
    ("attached", "expected"),
    [
        ([(ROLE_POLICY, {"role": "job", "policy": document("ec2:*")})], "ec2:* on *"),
        ([(ROLE_ATTACHMENT, {"role": "job", "policyArn": ADMINISTRATOR})], "AWS's policy AdministratorAccess"),
        ([(ROLE_ATTACHMENT, {"role": ROLE_ARN, "policyArn": "arn:aws:iam::1:policy/x"})], "policy arn:aws:iam::1:"),
        ([(POLICY, OWN), (ROLE_ATTACHMENT, {"role": "job", "policyArn": OWN["arn"]})], "s3:* on *"),
        ([(POLICY_ATTACHMENT, {"roles": ["other", "job"], "policyArn": ADMINISTRATOR})], "AWS's policy Admin"),
        ([(EXCLUSIVE[0][0], {"roleName": "job", "policyNames": ["x"]})], "inline policy x"),
        (
            [
                (
                    "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive",
                    {"roleName": "job", "policyArns": [ADMINISTRATOR]},
                )
            ],
            "AWS's policy AdministratorAccess",
        ),
        (
            [(BUCKET_POLICY, {"bucket": "files", "policy": document("s3:*", Principal={"AWS": ROLE_ARN})})],
            "s3:* on Bucket files",
        ),
        (
            [
                (KEY, {"id": "k", "arn": "arn:aws:kms:r:1:key/k", "policy": ""}),
                (GRANT, {"keyId": "k", "granteePrincipal": ROLE_ARN, "operations": ["Decrypt"]}),
            ],
            "kms:Decrypt on Key 0",
        ),
        (
            [
                (SECRET, {"arn": "arn:s"}),
                (SECRET_POLICY, {"secretArn": "arn:s", "policy": document("x:*", Principal={"AWS": ROLE_ARN})}),
            ],
            "x:* on Secret 0",
        ),
        ([(SECRET, {"policy": document("x:*", Principal={"AWS": ROLE_ARN})})], "x:* on Secret 0"),
        (
            [
                (TOPIC, {"arn": "arn:t"}),
                (TOPIC_POLICY, {"arn": "arn:t", "policy": document("sns:*", "arn:t", Principal={"AWS": ROLE_ARN})}),
            ],
            "sns:* on Topic 0",
        ),
    ],
)
def test_each_kind_of_attachment_gives_a_role_its_rights(attached: list[tuple[str, Any]], expected: str) -> None:
    (found,) = of_role(*(resource(type, str(index), given) for index, (type, given) in enumerate(attached)))
    assert found.startswith(expected)


def test_a_role_has_its_inline_and_managed_policies() -> None:
    role = resource(
        ROLE,
        "other",
        {
            "name": "other",
            "inlinePolicies": [{"name": "x", "policy": document("ec2:*")}],
            "managedPolicyArns": [ADMINISTRATOR],
        },
    )
    assert rights("Role other", role) == ["AWS's policy AdministratorAccess", "ec2:* on *"]


@pytest.mark.parametrize(
    "membership",
    [
        resource(USER_MEMBERSHIP, "m", {"user": "writer", "groups": ["team"]}),
        resource(GROUP_MEMBERSHIP, "m", {"users": ["writer"], "group": "team"}),
    ],
)
def test_a_user_has_the_rights_of_its_groups(membership: Resource) -> None:
    group = resource(GROUP, "team", {"name": "team"})
    policy = resource(GROUP_POLICY, "p", {"group": "team", "policy": document("s3:*")})
    assert rights("User writer", group, policy, membership) == ["s3:* on *"]
    assert rights("User writer", membership) == ["the policies of undeclared Group team"]


def test_attachments_to_undeclared_principals_are_their_own() -> None:
    policy = resource(ROLE_POLICY, "p", {"role": "elsewhere", "policy": document("s3:*")})
    assert rights("undeclared Role elsewhere", policy) == ["s3:* on *"]


def test_inline_policies_that_are_not_kept_are_conditional() -> None:
    policy = resource(ROLE_POLICY, "p", {"role": "job", "name": "own", "policy": document("s3:*")})
    exclusive = EXCLUSIVE[0][0]
    kept = resource(exclusive, "e", {"roleName": "job", "policyNames": ["own"]})
    assert of_role(policy, kept) == ["s3:* on *"]
    gone = resource(exclusive, "e", {"roleName": "job", "policyNames": []})
    assert of_role(policy, gone) == ["s3:* on * if RolePoliciesExclusive e did not remove it"]


def test_a_permissions_boundary_is_a_condition() -> None:
    role = resource(ROLE, "bound", {"name": "bound", "permissionsBoundary": ADMINISTRATOR})
    policy = resource(ROLE_POLICY, "p", {"role": "bound", "policy": document("s3:*")})
    assert rights("Role bound", role, policy) == [f"s3:* on * if within {ADMINISTRATOR}"]


def test_a_key_without_a_policy_and_a_replaced_policy() -> None:
    key = resource(KEY, "k", {"id": "k", "arn": "arn:aws:kms:r:123456789012:key/k"})
    assert rights("Account of Key k", key) == ["kms:* on Key k"]
    root = {"AWS": "arn:aws:iam::123456789012:root"}
    replaced = resource(KEY_POLICY, "p", {"keyId": "k", "policy": document("kms:Sign", Principal=root)})
    assert rights("Account of Key k", key, replaced) == ["kms:Sign on Key k"]
    other = resource(KEY_POLICY, "p", {"keyId": "k", "policy": document("kms:Sign", Principal={"AWS": "210987654321"})})
    assert rights("Account of Key k", key, other) == []
    assert rights("210987654321", key, other) == ["kms:Sign on Key k"]


def test_services_and_everybody_are_principals() -> None:
    who = {"Service": ["a.amazonaws.com", "b.amazonaws.com"], "AWS": "*"}
    policy = resource(BUCKET_POLICY, "p", {"bucket": "files", "policy": document("s3:*", Principal=who)})
    for label in ("Service a.amazonaws.com", "Service b.amazonaws.com", "Anybody"):
        assert rights(label, policy) == ["s3:* on Bucket files"]


@pytest.mark.parametrize(
    ("action", "where", "elements", "stops"),
    [
        ("s3:Get*", "*", {}, True),
        ("s3:GetObject", "arn:aws:s3:::files/private/*", {}, False),
        ("s3:GetObject", "arn:aws:s3:::files/*", {"Condition": {"StringEquals": {"a": "b"}}}, True),
        ("s3:*", "*", {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, False),
        ("s3:*", "*", {"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}, False),
        ("s3:PutObject", "*", {}, False),
    ],
)
def test_a_statement_that_denies_a_right(action: str, where: str, elements: dict[str, Any], stops: bool) -> None:
    allowed = resource(ROLE_POLICY, "p", {"role": "job", "policy": document("s3:GetObject", "arn:aws:s3:::files/*")})
    denied = document(action, where, "Deny", Principal="*", **elements)
    for denying in (
        resource(ROLE_POLICY, "d", {"role": "job", "policy": denied}),
        resource(BUCKET_POLICY, "d", {"bucket": "files", "policy": denied}),
    ):
        role = principals(graph(ONE, BUCKET, allowed, denying))["Role job"]
        assert any(denial.stops(right) for denial in role.denials for right in role.rights) is stops


def test_tokens_have_their_groups_on_their_buckets() -> None:
    bucket = resource(R2, "primary", {"accountId": "a", "jurisdiction": "eu", "name": "b"})
    opened = {"com.cloudflare.edge.r2.bucket.a_eu_b": "*", "com.cloudflare.api.account.a": {"zone.*": "*"}}
    policy = {"effect": "allow", "permissionGroups": [{"id": "x"}], "resources": json.dumps(opened)}
    token = resource(API_TOKEN, "t", {"policies": [policy], "expiresOn": "2027-01-01T00:00:00Z"})
    until = 'if expiresOn "2027-01-01T00:00:00Z"'
    assert rights("ApiToken t", bucket, token) == [
        f"the permission group x on R2Bucket primary {until}",
        f'the permission group x on com.cloudflare.api.account.a {{"zone.*": "*"}} {until}',
    ]


def test_unknown_attachments_are_unclear() -> None:
    found = principals(
        graph(
            ONE,
            resource(ROLE_POLICY, "unknown-policy", {"role": "job", "policy": Unknown.LATER}),
            resource(ROLE_POLICY, "unknown-role", {"role": Unknown.LATER, "policy": document("s3:*")}),
            resource(BUCKET_POLICY, "unknown", {"bucket": "files", "policy": Unknown.LATER}),
            resource(SECRET_POLICY, "broken", {"secretArn": "arn:s", "policy": "no JSON"}),
        )
    )
    unclear = {label for label, one in found.items() if one.unclear}
    assert unclear == {"Role job", "RolePolicy unknown-role", "BucketPolicy unknown", "SecretPolicy broken"}


def test_resources_beside_the_platform_count() -> None:
    policy = resource(ROLE_POLICY, "p", {"role": "job", "policy": document("s3:*")})
    found = principals(Graph([ONE], [policy, resource(ROLE, "beside", {"name": "beside"})]))
    assert [one.text for one in found["Role job"].rights] == ["s3:* on *"]
    assert "Role beside" in found


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Principal": {"Service": "ec2.amazonaws.com"}}, ["Service ec2.amazonaws.com"]),
        ({"Principal": {"AWS": ROLE_ARN}}, ["Role job"]),
        ({"Principal": "*", "Condition": {"Bool": {"x": "y"}}}, ["Anybody if Bool x y"]),
        ({"Principal": {"Federated": "f"}, "Action": "sts:TagSession"}, ["f by sts:TagSession"]),
        ({"Principal": "*", "Effect": "Deny"}, ["nobody, by a statement that denies sts:AssumeRole"]),
        ({"NotPrincipal": {"AWS": "x"}}, ["Anybody"]),
    ],
)
def test_who_may_assume_a_role(statement: dict[str, Any], expected: list[str]) -> None:
    text = json.dumps({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", **statement}})
    role = resource(ROLE, "r", {"assumeRolePolicy": text})
    assert trusted_by(graph(ONE, role), role) == expected
    with pytest.raises(Undetermined):
        trusted_by(graph(ONE), resource(ROLE, "r", {"assumeRolePolicy": Unknown.LATER}))


@pytest.mark.parametrize("text", ["['Role (']\n", "['Role x']\nright = []\n", "['Role x']\nrights = [1]\n", "[\n"])
def test_a_table_of_needs_that_cannot_be_read_names_its_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "needs.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"needs\.toml"):
        table(file)


def judged(*resources: Resource) -> dict[str, Outcome]:
    rule = next(one for one in all_rules() if one.id == "principals-have-what-they-need-only")
    return {one.label: one.outcome for one in rule.verdicts(graph(*resources))}


def test_a_missing_right_waits_only_for_policies_that_may_be_anybodys() -> None:
    flow = resource(ROLE, "network-flow", {"name": "flow"})
    unknown = {"policy": Unknown.LATER}
    other = judged(flow, ONE, resource(ROLE_POLICY, "p", {"role": "job", **unknown}))
    assert (other["Role network-flow"], other["Role job"]) == (Outcome.FAIL, Outcome.UNDETERMINED)
    anybodys = judged(flow, resource(BUCKET_POLICY, "p", {"bucket": "files", **unknown}))
    assert anybodys["Role network-flow"] is Outcome.UNDETERMINED
    assert anybodys["Service events.amazonaws.com"] is Outcome.UNDETERMINED


def test_more_than_needed_fails_even_if_another_policy_is_unknown() -> None:
    unknown = resource(ROLE_POLICY, "unknown", {"role": "flow", "policy": Unknown.LATER})
    more = resource(ROLE_POLICY, "more", {"role": "flow", "policy": document("s3:*")})
    assert judged(resource(ROLE, "network-flow", {"name": "flow"}), unknown, more)["Role network-flow"] is Outcome.FAIL


@pytest.mark.parametrize(
    ("action", "where", "outcome"),
    [
        ("logs:PutLogEvents", "arn:aws:logs:eu-central-1:123456789012:log-group:report:*", Outcome.PASS),
        ("s3:DeleteObject", "arn:aws:s3:::backups/*", Outcome.FAIL),
        ("*", "*", Outcome.FAIL),
    ],
)
def test_a_reviewed_principal_beside_the_platform_has_no_rights_on_the_platform(
    action: str, where: str, outcome: Outcome
) -> None:
    bucket = resource(S3, "vault-offsite", {"arn": "arn:aws:s3:::backups", "bucket": "backups"})
    role = resource(ROLE, "report", {"name": "report", "id": "report", "arn": "arn:aws:iam::123456789012:role/report"})
    own = resource(ROLE_POLICY, "report", {"role": "report", "policy": document(action, where)})
    (rule,) = (one for one in all_rules() if one.id == "principals-have-what-they-need-only")
    verdicts = rule.verdicts(Graph([bucket], [role, own]))
    assert [one.outcome for one in verdicts if one.urn == role.urn] == [outcome]
