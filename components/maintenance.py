"""Routine maintenance: in a window that customers can know, on one machine after the other."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from components.citus import CitusCluster
from components.topology import Topology

CUTOFF_HOURS = 1  # nothing new is begun in the window's last hour
PATCH_SECONDS = 3600
# A new security fix is left alone for a day: time for the world to notice a bad one.
APPROVE_AFTER_DAYS = 1
# Rolled by plan, member after member through the health gates, never by a patch run.
HELD_PACKAGES = ("postgresql*", "patroni*", "etcd*", "haproxy*", "cloudflared*")


@dataclass(frozen=True)
class MaintenanceArgs:
    """The shape to declare, and the machines to maintain."""

    topology: Topology
    cluster: CitusCluster


class Maintenance(ComponentResource):
    """`backbuild:index:Maintenance`: the weekly window.

    Makes: a patch baseline for Debian that holds back what is rolled by plan; the SSM maintenance window; its target,
    every machine of the platform; and the task that patches one machine at a time and stops at the first error.
    """

    def __init__(self, name: str, args: MaintenanceArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:Maintenance", name, {}, opts)
        topology, own = args.topology, ResourceOptions(parent=self)
        aws.ssm.PatchBaseline(
            name,
            name=topology.prefix,
            description="Security and important fixes of Debian, without what is rolled by plan",
            operating_system="DEBIAN",
            approval_rules=[
                {
                    "approve_after_days": APPROVE_AFTER_DAYS,
                    "compliance_level": "HIGH",
                    "patch_filters": [
                        {"key": "PRODUCT", "values": ["*"]},
                        {"key": "PRIORITY", "values": ["Required", "Important", "Standard"]},
                    ],
                }
            ],
            rejected_patches=list(HELD_PACKAGES),
            rejected_patches_action="BLOCK",
            opts=own,
        )
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
            task_arn="AWS-RunPatchBaseline",
            targets=[{"key": "WindowTargetIds", "values": [target.id]}],
            max_concurrency="1",
            max_errors="0",
            priority=1,
            cutoff_behavior="CANCEL_TASK",
            task_invocation_parameters={
                "run_command_parameters": {
                    "parameters": [
                        {"name": "Operation", "values": ["Install"]},
                        {"name": "RebootOption", "values": ["RebootIfNeeded"]},
                    ],
                    "timeout_seconds": PATCH_SECONDS,
                }
            },
            opts=ResourceOptions(parent=self, depends_on=[group.gate for group in args.cluster.groups.values()]),
        )
        self.register_outputs({})
