"""Secrets Manager, CloudWatch metrics and the read side of S3, each with the permissions of the instance's role."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.machines.inventory import Instance, Inventory
from sandbox.machines.services.permissions import allowed
from sandbox.machines.services.tags import tags_of

SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 (a resource type)
SECRET_VERSION = "aws:secretsmanager/secretVersion:SecretVersion"  # noqa: S105
BUCKET = "aws:s3/bucket:Bucket"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"


class DeniedError(Exception):
    """The role's policies do not allow the action."""


class Amazon:
    """Answers requests to the services of a region; `folder` has the metrics and the secrets' tags of a live stack."""

    def __init__(self, folder: Path) -> None:
        self._folder: Path = folder

    def answer(self, service: str, request: Request, instance: Instance, inventory: Inventory) -> Response:
        """Answer a request of an instance to a service."""
        try:
            if service == "secretsmanager":
                return self._secret(request, instance, inventory)
            if service == "monitoring":
                return self._metric(request, instance, inventory)
            return self._object(request, instance, inventory)
        except DeniedError as denied:
            return _error(403 if service == "s3" else 400, "AccessDeniedException", str(denied))

    def _secret(self, request: Request, instance: Instance, inventory: Inventory) -> Response:
        if not request.headers.get("x-amz-target", "").endswith(".GetSecretValue"):
            return _error(400, "InvalidAction", "the sandbox only serves GetSecretValue")
        asked = str(json.loads(request.get_data())["SecretId"])
        secret: Any = next(
            (one.outputs for one in inventory.of_type(SECRET) if asked in (one.outputs["name"], one.outputs["arn"])),
            None,
        )
        if secret is None:
            return _error(400, "ResourceNotFoundException", f"there is no secret {asked}")
        declared: dict[str, str] = secret.get("tagsAll") or {}
        tags = declared | tags_of(self._folder, secret["name"])
        context = {f"secretsmanager:ResourceTag/{key}": value for key, value in tags.items()}
        _require(instance, inventory, "secretsmanager:GetSecretValue", secret["arn"], context)
        if key := secret.get("kmsKeyId"):
            via = f"secretsmanager.{instance.region}.amazonaws.com"
            _require(instance, inventory, "kms:Decrypt", key, {"kms:ViaService": via})
        versions = [
            one.outputs for one in inventory.of_type(SECRET_VERSION) if one.outputs["secretId"] == secret["arn"]
        ]
        if not versions:
            return _error(400, "ResourceNotFoundException", f"the secret {asked} has no value")
        # The newest version is the current one: a replacement creates the new version before it deletes the former one.
        found = {"ARN": secret["arn"], "Name": secret["name"], "SecretString": versions[-1]["secretString"]}
        return Response(json.dumps(found), content_type="application/x-amz-json-1.1")

    def _metric(self, request: Request, instance: Instance, inventory: Inventory) -> Response:
        form = request.form
        if form.get("Action") != "PutMetricData":
            return _error(400, "InvalidAction", "the sandbox only serves PutMetricData")
        namespace = {"cloudwatch:namespace": form["Namespace"]}
        _require(instance, inventory, "cloudwatch:PutMetricData", "*", namespace)
        file = self._folder / "metrics" / f"{instance.id}.json"
        values: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
        values |= _values(form)
        aside = file.with_suffix(f".{id(request)}")
        aside.write_text(json.dumps(values))
        aside.replace(file)
        return Response("<PutMetricDataResponse/>", content_type="text/xml")

    def _object(self, request: Request, instance: Instance, inventory: Inventory) -> Response:
        bucket, _, key = request.path.removeprefix("/").partition("/")
        endpoints = [one.id for one in inventory.of_type(ENDPOINT) if str(one.outputs["serviceName"]).endswith(".s3")]
        context = {"aws:SourceVpce": endpoints[0]} if endpoints else {}
        arn = next((one.outputs["arn"] for one in inventory.of_type(BUCKET) if one.outputs["bucket"] == bucket), None)
        if arn is None:
            return _error(404, "NoSuchBucket", f"there is no bucket {bucket}")
        _require(instance, inventory, "s3:GetObject", f"{arn}/{key}", context)
        for one in inventory.of_type(OBJECT):
            if (one.outputs["bucket"], one.outputs["key"]) == (bucket, key) and request.method in {"GET", "HEAD"}:
                return Response(base64.b64decode(str(one.outputs["contentBase64"])))
        return _error(404, "NoSuchKey", f"there is no object {key} in {bucket}")


def _values(form: Any) -> Iterator[tuple[str, float]]:
    for name in form:
        if found := re.fullmatch(r"(MetricData\.member\.\d+)\.MetricName", name):
            yield form[name], float(form[f"{found[1]}.Value"])


def _require(
    instance: Instance, inventory: Inventory, action: str, resource: str, context: dict[str, str] | None = None
) -> None:
    if not allowed(inventory.policies_of(instance), action, resource, context or {}):
        raise DeniedError(f"the role {inventory.role_of(instance)} of {instance.name} may not {action} on {resource}")


def _error(status: int, code: str, message: str) -> Response:
    """Return an error that clients of both JSON and XML services show."""
    body = json.dumps({"__type": code, "Code": code, "message": message, "Message": message})
    return Response(body, status, {"x-amzn-ErrorType": code}, content_type="application/x-amz-json-1.1")
