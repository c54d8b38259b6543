"""Types of resources that give rights, and the properties that name principals and policies."""

from __future__ import annotations

from typing import Final

from policies.views.permissions import (
    BUCKET_POLICY,
    KEY,
    ROLE,
    ROLE_ATTACHMENT,
    ROLE_POLICY,
    USER,
    USER_POLICY,
)
from policies.views.vault import S3

GROUP: Final = "aws:iam/group:Group"
POLICY: Final = "aws:iam/policy:Policy"
INSTANCE_PROFILE: Final = "aws:iam/instanceProfile:InstanceProfile"
GROUP_POLICY: Final = "aws:iam/groupPolicy:GroupPolicy"
POLICY_ATTACHMENT: Final = "aws:iam/policyAttachment:PolicyAttachment"
GROUP_MEMBERSHIP: Final = "aws:iam/groupMembership:GroupMembership"
USER_MEMBERSHIP: Final = "aws:iam/userGroupMembership:UserGroupMembership"
GRANT: Final = "aws:kms/grant:Grant"
KEY_POLICY: Final = "aws:kms/keyPolicy:KeyPolicy"
SECRET: Final = "aws:secretsmanager/secret:Secret"  # noqa: S105 (a type)
SECRET_POLICY: Final = "aws:secretsmanager/secretPolicy:SecretPolicy"  # noqa: S105
TOPIC: Final = "aws:sns/topic:Topic"
TOPIC_POLICY: Final = "aws:sns/topicPolicy:TopicPolicy"
ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"

INLINE: Final = ((ROLE_POLICY, "role", ROLE), (USER_POLICY, "user", USER), (GROUP_POLICY, "group", GROUP))
"""Types of policies that belong to one principal: the property that names it, and the principal's type."""
MANAGED: Final = (
    (ROLE_ATTACHMENT, "role", "policyArn", ROLE),
    ("aws:iam/userPolicyAttachment:UserPolicyAttachment", "user", "policyArn", USER),
    ("aws:iam/groupPolicyAttachment:GroupPolicyAttachment", "group", "policyArn", GROUP),
    (POLICY_ATTACHMENT, "roles", "policyArn", ROLE),
    (POLICY_ATTACHMENT, "users", "policyArn", USER),
    (POLICY_ATTACHMENT, "groups", "policyArn", GROUP),
    ("aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive", "roleName", "policyArns", ROLE),
    ("aws:iam/userPolicyAttachmentsExclusive:UserPolicyAttachmentsExclusive", "userName", "policyArns", USER),
    ("aws:iam/groupPolicyAttachmentsExclusive:GroupPolicyAttachmentsExclusive", "groupName", "policyArns", GROUP),
)
"""Types that attach managed policies: the properties that name principals and policies, and the principals' type."""
EXCLUSIVE: Final = (
    ("aws:iam/rolePoliciesExclusive:RolePoliciesExclusive", "roleName", ROLE),
    ("aws:iam/userPoliciesExclusive:UserPoliciesExclusive", "userName", USER),
    ("aws:iam/groupPoliciesExclusive:GroupPoliciesExclusive", "groupName", GROUP),
)
"""Types that list the inline policies which a principal keeps; AWS's provider removes all others."""
ON_RESOURCES: Final = (
    (BUCKET_POLICY, "bucket", S3),
    (KEY_POLICY, "keyId", KEY),
    (SECRET_POLICY, "secretArn", SECRET),
    (TOPIC_POLICY, "arn", TOPIC),
)
"""Types of policies that are attached to a resource: the property that names it, and its type."""
OF_OTHERS: Final = ("policy", "policyDocument", "resourcePolicy", "accessPolicy", "accessPolicies")
"""Properties of resources of all other types, such as access points and queues, that may contain such a policy."""
NO_GRANTS: Final = frozenset(
    (
        *(type for type, *_ in INLINE),
        *(type for type, *_ in ON_RESOURCES),
        *(POLICY, KEY, SECRET, TOPIC, S3, ENDPOINT, "aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy"),
    )
)
"""Types whose policies are read in another way, or only limit what others allow."""
