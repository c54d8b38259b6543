"""One drill at a time on a stack at AWS, from whichever computer: a parameter in Systems Manager names the drill."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, cast

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from console.errors import InputError
from drills.sites.aws import reason_of
from model.topology import Topology


def parameter_of(topology: Topology) -> str:
    """Return the name of the parameter that a drill holds."""
    return f"/{topology.prefix}/drill"


@contextmanager
def claim(topology: Topology, command: str) -> Generator[None]:
    """Hold the stack's parameter during the block. Raises `InputError` if another drill holds it, or AWS refuses.

    The operator's credentials need `ssm:PutParameter`, `ssm:GetParameter` and `ssm:DeleteParameter`.
    """
    ssm = _systems_manager(topology)
    name = parameter_of(topology)
    own = json.dumps(
        {
            "command": command,
            "user": f"{_user()} on {socket.gethostname()}",
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "id": secrets.token_hex(8),
        }
    )
    try:
        ssm.put_parameter(Name=name, Value=own, Type="String", Overwrite=False)  # only if it does not exist
    except ssm.exceptions.ParameterAlreadyExists:
        raise InputError(_held(topology, name, _value(ssm, name))) from None
    except (BotoCoreError, ClientError) as error:
        raise InputError(f"the drill of {topology.stack} cannot be announced at AWS: {reason_of(error)}") from None
    try:
        yield
    finally:
        _release(ssm, name, own)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return f"user {os.getuid()}"


def _systems_manager(topology: Topology) -> Any:
    try:
        return cast(Any, boto3).client("ssm", region_name=topology.settings.database.region)
    except BotoCoreError as error:  # such as a profile that does not exist
        raise InputError(f"AWS cannot be reached: {reason_of(error)}") from None


def _release(ssm: Any, name: str, own: str) -> None:
    try:
        if _value(ssm, name) == own:  # else somebody has removed it as stale, and another drill may hold it
            ssm.delete_parameter(Name=name)
    except (BotoCoreError, ClientError) as error:
        # Not an error of the drill, whose report must not be lost.
        message = f"the parameter {name} cannot be deleted: {reason_of(error)}"
        print(f"warning: {message}; run `aws ssm delete-parameter --name {name}`", file=sys.stderr)


def _value(ssm: Any, name: str) -> str:
    with suppress(ssm.exceptions.ParameterNotFound):  # the other drill has just ended
        return ssm.get_parameter(Name=name)["Parameter"]["Value"]
    return ""


def _held(topology: Topology, name: str, value: str) -> str:
    try:
        holder = json.loads(value)
        who = f"`{holder['command']}` of {holder['user']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process"
    return (
        f"{topology.stack} is held by {who}; wait until it ends. If it was killed: start the instances of "
        f"{topology.prefix} that are stopped, run `pulumi up --refresh`, then "
        f"`aws ssm delete-parameter --region {topology.settings.database.region} --name {name}`"
    )
