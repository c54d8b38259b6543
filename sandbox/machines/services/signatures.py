"""Verifies requests that are signed with Amazon's Signature Version 4."""

from __future__ import annotations

import hmac
import re
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.wrappers import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/s3/aws4_request, *"
    r"SignedHeaders=(?P<headers>[^,]+), *Signature=(?P<signature>[0-9a-f]{64})"
)


def access_key(request: Request) -> str | None:
    """Return the access key with which a request claims to be signed."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    return found["key"] if found else None


def is_signed(request: Request, secret: str) -> bool:
    """Return whether the signature is that of the request with the secret of its access key."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return False
    headers = {name: request.headers.get(name, "") for name in found["headers"].split(";")}
    signed: Any = AWSRequest(request.method, f"https://{request.host}{request.environ['RAW_URI']}", headers)
    signed.context["timestamp"] = headers.get("x-amz-date", "")
    signer: Any = S3SigV4Auth(Credentials(found["key"], secret), "s3", found["region"])
    expected = signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)
    return hmac.compare_digest(expected, found["signature"])
