#!/usr/bin/python3
"""Fetch this machine's files from S3, check their SHA-256, unpack them, and run backbuild-install.

Usage: backbuild-boot REGION BUCKET SHA256. cloud-init runs it at the first boot. It is idempotent.

Debian's cloud images contain neither the AWS CLI nor an AWS SDK, so this script signs its request to S3 itself
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254") + "/latest/"
PAUSES = (5, 15, 30, 60, 120)  # seconds between attempts; the health gate limits the whole time
HEALTH_CHECK = Path("/usr/local/sbin/backbuild-healthy")
INSTALL = "/usr/local/sbin/backbuild-install"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def request_body(url: str, headers: dict[str, str], method: str = "GET") -> bytes:
    """Send a request and return the response's body. Raises `OSError` for an error status."""
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 (only http and https)
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
        return response.read()


def role_keys() -> dict[str, str]:
    """Return the temporary keys of the instance's IAM role, from the metadata service."""
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    headers = {"X-aws-ec2-metadata-token": request_body(METADATA + "api/token", ttl, "PUT").decode()}
    roles = METADATA + "meta-data/iam/security-credentials/"
    name = request_body(roles, headers).decode().split()[0]
    return json.loads(request_body(roles + name, headers))


def fetch(region: str, bucket: str, key: str) -> bytes:
    """Return the content of an S3 object. The request is signed with AWS Signature Version 4."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", f"https://s3.{region}.amazonaws.com")
    keys, path = role_keys(), f"/{bucket}/{key}"
    date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    headers = {
        "host": endpoint.partition("://")[2],
        "x-amz-content-sha256": EMPTY_SHA256,
        "x-amz-date": date,
        "x-amz-security-token": keys["Token"],
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = hashlib.sha256(f"GET\n{path}\n\n{lines}\n{names}\n{EMPTY_SHA256}".encode()).hexdigest()
    # The signing key: HMACs of date, region, service and "aws4_request". The last HMAC is the signature.
    signature = b"AWS4" + keys["SecretAccessKey"].encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{request}"):
        signature = hmac.digest(signature, part.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={names}, Signature={signature.hex()}"
    )
    return request_body(endpoint + path, headers)


def fetch_with_retries(region: str, bucket: str, key: str) -> bytes:
    """Call `fetch` up to six times: the network and the role's policy may be ready later than the machine."""
    for pause in PAUSES:
        try:
            return fetch(region, bucket, key)
        except (OSError, ValueError, LookupError) as error:
            print(
                f"backbuild-boot: s3://{bucket}/{key}: {error}; next attempt in {pause} s", file=sys.stderr, flush=True
            )
        time.sleep(pause)
    return fetch(region, bucket, key)


def fail(reason: str) -> NoReturn:
    """Install a health check that fails with `reason`, so that the health gate reports it, and exit with 1."""
    HEALTH_CHECK.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{reason}\nEND\nexit 1\n")
    HEALTH_CHECK.chmod(0o755)
    sys.exit(reason)


def main(region: str, bucket: str, sha256: str) -> None:
    """Fetch the archive, check its SHA-256, unpack it and run backbuild-install."""
    key = f"{sha256}.tar.gz"
    place = f"s3://{bucket}/{key}"
    try:
        content = fetch_with_retries(region, bucket, key)
    except (OSError, ValueError, LookupError) as error:
        fail(
            f"backbuild-boot: cannot read {place}: {error}; check the instance profile, the VPC's S3 endpoint and the "
            "object, then run the command in /var/lib/cloud/instance/scripts/runcmd again"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        fail(
            f"backbuild-boot: {place} has the SHA-256 {found}, so its files are not installed; restore the object with "
            "`pulumi up --refresh`, then run the command in /var/lib/cloud/instance/scripts/runcmd again"
        )
    subprocess.run(["tar", "-xzf", "-", "-C", "/"], input=content, check=True)
    os.execv(INSTALL, [INSTALL])  # noqa: S606 (from the archive)


if __name__ == "__main__":
    main(*sys.argv[1:])
