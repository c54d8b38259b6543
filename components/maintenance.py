"""Routine maintenance: a published weekly window in which machines are patched one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from components.citus import CitusCluster
from model.gates import DELIVERY_SECONDS, PATCH_COMMAND, PATCH_SECONDS
from model.topology import Topology

CUTOFF_HOURS = 1  # in the window's last hour no further machine is patched


@dataclass(frozen=True)
class MaintenanceArgs:
    """The topology, and the machines to patch."""

    topology: Topology
    cluster: CitusCluster


class Maintenance(ComponentResource):
    """`backbuild:index:Maintenance`: the weekly window.

    Makes: the SSM maintenance window; its target, every machine of the platform; and the task that patches one machine
    at a time, checks its health, and stops at the first error. Nothing else installs packages on a running machine
    (docs/adr/0024-one-way-to-patch.md).
    """

    def __init__(self, name: str, args: MaintenanceArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:Maintenance", name, {}, opts)
        topology, own = args.topology, ResourceOptions(parent=self)
        window = aws.ssm.MaintenanceWindow(
            name,
            name=topology.prefix,
            description="Routine maintenance, rolling and without downtime",
            schedule=topology.schedules.maintenance,
            schedule_timezone="UTC",
            duration=topology.schedules.maintenance_hours,
            cutoff=CUTOFF_HOURS,
            opts=own,
        )
        target = aws.ssm.MaintenanceWindowTarget(
            name,
            name=topology.prefix,
            window_id=window.id,
            resource_type="INSTANCE",
            targets=[{"key": "tag:Platform", "values": [topology.prefix]}],
            opts=own,
        )
        aws.ssm.MaintenanceWindowTask(
            name,
            name="patch",
            window_id=window.id,
            task_type="RUN_COMMAND",
            task_arn="AWS-RunShellScript",
            targets=[{"key": "WindowTargetIds", "values": [target.id]}],
            max_concurrency="1",
            max_errors="0",
            priority=1,
            cutoff_behavior="CANCEL_TASK",
            task_invocation_parameters={
                "run_command_parameters": {
                    "parameters": [
                        {"name": "commands", "values": [PATCH_COMMAND]},
                        {"name": "executionTimeout", "values": [str(PATCH_SECONDS)]},
                    ],
                    "timeout_seconds": DELIVERY_SECONDS,
                }
            },
            opts=ResourceOptions(parent=self, depends_on=[group.gate for group in args.cluster.groups.values()]),
        )
        self.register_outputs({})
