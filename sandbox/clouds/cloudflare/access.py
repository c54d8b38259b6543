"""Facts of tunnels, Access, API tokens and notifications."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sandbox.clouds import rules
from sandbox.clouds.cloudflare import prerequisites
from sandbox.clouds.cloudflare.storage import EPOCH, UUID
from sandbox.clouds.facts import Facts, matching
from sandbox.provider import CheckFailure
from sandbox.values import UNKNOWN, Properties

TUNNEL = "cloudflare:index/zeroTrustTunnelCloudflared:ZeroTrustTunnelCloudflared"
POLICY = "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy"
SERVICE_TOKEN = "cloudflare:index/zeroTrustAccessServiceToken:ZeroTrustAccessServiceToken"  # noqa: S105 (a type token)
WEBHOOK = "cloudflare:index/notificationPolicyWebhooks:NotificationPolicyWebhooks"

_DURATION = rules.text(r"(\d+(ns|us|ms|s|m|h))+", "a duration such as 24h or 30m")
_EMAIL = rules.text(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")


def _catch_all(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that the last ingress rule of a tunnel matches everything, and that all others have a host name."""
    listed = [(path, rule) for path, rule in matching(inputs, "config.ingresses[]") if isinstance(rule, dict)]
    for index, (path, rule) in enumerate(listed):
        last = index == len(listed) - 1
        if last and (rule.get("hostname") or rule.get("path")):
            yield CheckFailure(path, "the last ingress rule must match everything: remove hostname and path")
        if not last and rule.get("hostname") is None and rule.get("path") is None:
            yield CheckFailure(f"{path}.hostname", "is required in all rules except the last")


def _resources(value: str) -> str | None:
    """Accept a token policy's resources: a JSON object from resource names to `*` or further objects."""
    reason = rules.json_object(value)
    if reason is None and not all(key.startswith("com.cloudflare.") for key in json.loads(value)):
        return "must name resources such as com.cloudflare.api.account.ACCOUNT_ID"
    return reason


def _has_recipient(inputs: Properties) -> Iterator[CheckFailure]:
    mechanisms = inputs.get("mechanisms")
    if isinstance(mechanisms, dict) and not any(mechanisms.values()):
        yield CheckFailure("mechanisms", "has no recipient; set at least one of emails, pagerduties, webhooks")


def _service_auth(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that a policy with a service token has the decision non_identity, as a token has no identity."""
    tokens = [path for path, value in matching(inputs, "includes[].serviceToken") if value]
    if tokens and inputs.get("decision") not in {"non_identity", "bypass", UNKNOWN}:
        yield CheckFailure("decision", "must be non_identity for a policy that includes a service token")


_TOKEN = Facts(
    computed={
        "value": "sandbox_{hex40}",
        "issuedOn": EPOCH,
        "modifiedOn": EPOCH,
        "lastUsedOn": None,
        "creatorEmailAtCreation": "sandbox@example.com",
        "status": "active",
    },
    rules={
        "name": rules.at_most_characters(120),
        "policies[].resources": _resources,
        "condition.requestIp.ins[]": rules.cidr4(),
        "condition.requestIp.notIns[]": rules.cidr4(),
    },
    known_as=(),
)

TYPES = {
    TUNNEL: Facts(
        id=UUID,
        computed={
            "accountTag": "{accountId}",
            "createdAt": EPOCH,
            "status": "inactive",
            "tunType": "cfd_tunnel",
            "metadata": "{{}}",
            "remoteConfig": lambda context: context.get("configSrc") == "cloudflare",
            "connsActiveAt": None,
            "connsInactiveAt": None,
            "deletedAt": None,
        },
        defaults={"configSrc": "local"},
        replaces=("configSrc",),
        # The connectors' shared secret must have at least 32 bytes.
        rules={"tunnelSecret": rules.text(r"[A-Za-z0-9+/]{43,}={0,2}", "base64 of at least 32 bytes")},
        unique=(("accountId", "name"),),
        known_as=("name",),
    ),
    "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig": Facts(
        id="{tunnelId}",
        computed={"createdAt": EPOCH, "version": 1},
        defaults={"source": "cloudflare"},
        undeletable=(
            "tunnelId",
            "first declare http_status:404 as its only ingress and run `up`, then remove it, or delete the tunnel",
        ),
        replaces=("tunnelId",),
        inputs_rules=(_catch_all,),
        references={"tunnelId": TUNNEL},
        unique=(("tunnelId",),),
        known_as=(),
    ),
    SERVICE_TOKEN: Facts(
        id=UUID,
        computed={
            "clientId": "{hex32}.access",
            "clientSecret": "{hex64}",
            "expiresAt": "2027-01-01T00:00:00Z",
            "clientSecretVersion": 1,
        },
        defaults={"duration": "8760h", "enabled": True},
        rules={"duration": rules.text(r"(\d+(ns|us|ms|s|m|h))+|forever", "a duration such as 8760h, or forever")},
        known_as=("clientId",),
    ),
    POLICY: Facts(
        id=UUID,
        computed={"createdAt": EPOCH, "updatedAt": EPOCH, "appCount": 0, "reusable": True},
        rules={"sessionDuration": _DURATION},
        inputs_rules=(_service_auth,),
        references={"includes[].serviceToken.tokenId": SERVICE_TOKEN},
        known_as=(),
    ),
    "cloudflare:index/zeroTrustAccessApplication:ZeroTrustAccessApplication": Facts(
        id=UUID,
        computed={"aud": "{hex64}", "domain": None, "name": None},
        defaults={"sessionDuration": "24h", "type": "self_hosted"},
        rules={"sessionDuration": _DURATION},
        references={"policies[].id": POLICY},
        rejects_in_update=prerequisites.access_application,
        known_as=(),
    ),
    "cloudflare:index/accountToken:AccountToken": _TOKEN,
    "cloudflare:index/apiToken:ApiToken": _TOKEN,
    "cloudflare:index/notificationPolicy:NotificationPolicy": Facts(
        computed={"created": EPOCH, "modified": EPOCH},
        defaults={"enabled": True},
        rules={"mechanisms.emails[].id": _EMAIL},
        inputs_rules=(_has_recipient,),
        references={"mechanisms.webhooks[].id": WEBHOOK},
        known_as=(),
    ),
    WEBHOOK: Facts(
        id=UUID,
        computed={"createdAt": EPOCH, "type": "generic", "lastFailure": None, "lastSuccess": None},
        rules={"url": rules.text(r"https://[^\s/]+(/\S*)?", "an https:// address")},
        known_as=(),
    ),
    "cloudflare:index/emailRoutingAddress:EmailRoutingAddress": Facts(
        computed={"created": EPOCH, "modified": EPOCH, "verified": EPOCH, "tag": "{id}"},
        replaces=("email",),
        rules={"email": _EMAIL},
        unique=(("accountId", "email"),),
        known_as=("email",),
    ),
}
