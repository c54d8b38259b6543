"""What a weakening is: a way of making a compliant stack worse, and the rule that should notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from policies.graph import Graph
from policies.mutation.operators import Operator

INSTANCE = "aws:ec2/instance:Instance"
VOLUME = "aws:ebs/volume:Volume"
ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"
SUBNET = "aws:ec2/subnet:Subnet"
GATE = "aws:ssm/association:Association"
VERSION = "cloudflare:index/workerVersion:WorkerVersion"
CRON = "cloudflare:index/workersCronTrigger:WorkersCronTrigger"
ZONE = "cloudflare:index/zone:Zone"


@dataclass(frozen=True)
class Weakening:
    """One way; `prepared` first adds to the stack what it does not have yet, compliantly."""

    name: str
    kills: str
    operator: Operator
    prepared: Callable[[Graph], Graph] | None = None
