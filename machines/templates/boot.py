#!/usr/bin/python3
"""Fetch this machine's files from S3, check their SHA-256, unpack them, and run backbuild-install.

Usage: backbuild-boot REGION BUCKET SHA256, by cloud-init at the first boot; running it again changes nothing.

Debian's cloud images have neither the AWS CLI nor its SDK, so this script signs its one request itself
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
PAUSES = (5, 15, 30, 60, 120)  # seconds; the health gate ends what takes longer
HEALTHY = Path("/usr/local/sbin/backbuild-healthy")
INSTALL = "/usr/local/sbin/backbuild-install"
NOTHING = hashlib.sha256(b"").hexdigest()


def ask(url: str, headers: dict[str, str], method: str = "GET") -> bytes:
    """The body of a response; an `OSError` unless its status is 200."""
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 (the schemes are ours)
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
        return response.read()


def role_keys() -> dict[str, str]:
    """The temporary keys of the instance's role."""
    token = ask(METADATA + "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT").decode()
    headers = {"X-aws-ec2-metadata-token": token}
    roles = METADATA + "meta-data/iam/security-credentials/"
    name = ask(roles, headers).decode().split()[0]
    return json.loads(ask(roles + name, headers))


def fetch(region: str, bucket: str, key: str) -> bytes:
    """The content of an S3 object, by a request that AWS Signature Version 4 signs."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", f"https://s3.{region}.amazonaws.com")
    keys, path = role_keys(), f"/{bucket}/{key}"
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    headers = {
        "host": endpoint.partition("://")[2],
        "x-amz-content-sha256": NOTHING,
        "x-amz-date": moment,
        "x-amz-security-token": keys["Token"],
    }
    names = ";".join(headers)
    listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = hashlib.sha256(f"GET\n{path}\n\n{listed}\n{names}\n{NOTHING}".encode()).hexdigest()
    secret = b"AWS4" + keys["SecretAccessKey"].encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{request}"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={names}, Signature={secret.hex()}"
    )
    return ask(endpoint + path, headers)


def fetch_patiently(region: str, bucket: str, key: str) -> bytes:
    """`fetch`, up to six times: the network and the role's policy may come after the machine."""
    for pause in PAUSES:
        try:
            return fetch(region, bucket, key)
        except (OSError, ValueError, LookupError) as error:
            print(
                f"backbuild-boot: s3://{bucket}/{key}: {error}; next attempt in {pause} s", file=sys.stderr, flush=True
            )
        time.sleep(pause)
    return fetch(region, bucket, key)


def refuse(reason: str) -> NoReturn:
    """Let the health gate report the reason, and end."""
    HEALTHY.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{reason}\nEND\nexit 1\n")
    HEALTHY.chmod(0o755)
    sys.exit(reason)


def main(region: str, bucket: str, sha256: str) -> None:
    """Fetch, check, unpack, install."""
    key = f"{sha256}.tar.gz"
    place = f"s3://{bucket}/{key}"
    try:
        content = fetch_patiently(region, bucket, key)
    except (OSError, ValueError, LookupError) as error:
        refuse(
            f"backbuild-boot: cannot read {place}: {error}; check the instance profile, the VPC's S3 endpoint and the "
            "object, then run the command in /var/lib/cloud/instance/scripts/runcmd again"
        )
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        refuse(
            f"backbuild-boot: {place} has the SHA-256 {found}, so its files are not installed; restore the object with "
            "`pulumi up --refresh`, then run the command in /var/lib/cloud/instance/scripts/runcmd again"
        )
    subprocess.run(["tar", "-xzf", "-", "-C", "/"], input=content, check=True)
    os.execv(INSTALL, [INSTALL])  # noqa: S606 (a program of the archive)


if __name__ == "__main__":
    main(*sys.argv[1:])
