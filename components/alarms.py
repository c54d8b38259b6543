"""Alarms by e-mail and webhook, through two independent channels: AWS (CloudWatch and SNS) and Cloudflare."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi_aws as aws
import pulumi_cloudflare as cloudflare
from pulumi import ComponentResource, Input, Output, ResourceOptions

from components.citus import CitusCluster
from components.policy_documents import policy
from model import metrics
from model.gates import RESTORE_DRILL
from model.topology import Group, Member, Topology

PERIOD_SECONDS = 60  # how often machines publish
# BAK-1 promises a daily backup: 24 hours, and two hours for the backup itself.
BACKUP_AGE_SECONDS = 26 * 3600
# The restore drill runs once a month: 31 days, and nine days to repair a failed drill and start it again.
RESTORE_AGE_SECONDS = 40 * 86_400
# A segment is finished after at most a minute and archived within seconds. The threshold is a quarter of the recovery
# point (REC-4), to leave time for a repair: an unreachable store, invalid keys, a repository of another database.
WAL_WAITING_SECONDS = 900


@dataclass(frozen=True)
class AlarmsArgs:
    """The topology, the key that encrypts messages, the machines, and the health check and tunnel to monitor."""

    topology: Topology
    key_arn: Input[str]
    cluster: CitusCluster
    health_check_id: Input[str]
    tunnel_id: Input[str]


class Alarms(ComponentResource):
    """`backbuild:index:Alarms`: alarms through AWS and through Cloudflare, so that one still works if the other fails.

    Makes: an SNS topic with the e-mail addresses and webhooks of the settings as subscribers; CloudWatch alarms on each
    member's health, replication lag, WAL archiving and data disk, and on each group's last backup and last restore
    rehearsal; EventBridge rules for failed health gates and failed maintenance windows; and Cloudflare notification
    policies, with the same recipients, for the API's health check and the tunnel.
    """

    topic_arn: Output[str]
    """The SNS topic of the CloudWatch alarms and EventBridge rules."""

    def __init__(self, name: str, args: AlarmsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:Alarms", name, {}, opts)
        self._name: str = name
        self._args: AlarmsArgs = args
        self._topology: Topology = args.topology
        self._own: ResourceOptions = ResourceOptions(parent=self)
        self.topic_arn = self._topic()
        for group in self._topology.groups:
            for member in group.members:
                self._member_alarms(member)
        for group in self._topology.database_groups:
            self._age_alarms(group)
        self._failure_alarms()
        self._edge_notifications()
        self.register_outputs({"topicArn": self.topic_arn})

    def _topic(self) -> Output[str]:
        topic = aws.sns.Topic(
            self._name,
            name=f"{self._topology.prefix}-alarms",
            kms_master_key_id=self._args.key_arn,
            opts=self._own,
        )
        aws.sns.TopicPolicy(
            self._name,
            arn=topic.arn,
            policy=topic.arn.apply(
                lambda arn: policy(
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
                        "Action": "sns:Publish",
                        "Resource": arn,
                    }
                )
            ),
            opts=self._own,
        )
        recipients = self._topology.settings.alarms
        for protocol, endpoints in (("email", recipients.emails), ("https", recipients.webhooks)):
            for index, endpoint in enumerate(endpoints):
                aws.sns.TopicSubscription(
                    f"{self._name}-{protocol}-{index}",
                    topic=topic.arn,
                    protocol=protocol,
                    endpoint=endpoint,
                    opts=self._own,
                )
        return topic.arn

    def _member_alarms(self, member: Member) -> None:
        thresholds = self._topology.settings.alarms
        # A member that sends no metrics counts as unhealthy.
        self._alarm(member, metrics.HEALTHY, "LessThanThreshold", 1, minutes=3, missing_data="breaching")
        if member.volume_gib is not None:
            self._alarm(member, metrics.DATA_DISK_USED_PERCENT, "GreaterThanThreshold", thresholds.disk_used_percent)
        if member.volume_gib is not None and member in self._database_members:
            self._alarm(member, metrics.REPLICATION_LAG_BYTES, "GreaterThanThreshold", thresholds.replication_lag_bytes)
            self._alarm(member, metrics.WAL_WAITING_SECONDS, "GreaterThanThreshold", WAL_WAITING_SECONDS)

    @property
    def _database_members(self) -> set[Member]:
        return {member for group in self._topology.database_groups for member in group.members}

    def _age_alarms(self, group: Group) -> None:
        """Declare the alarms on the ages of the group's last backup and of its last successful restore rehearsal."""
        self._age_alarm(
            group,
            "backup",
            metrics.BACKUP_AGE_SECONDS,
            BACKUP_AGE_SECONDS,
            f"no backup for {BACKUP_AGE_SECONDS // 3600} hours (BAK-1)",
        )
        self._age_alarm(
            group,
            "restore",
            metrics.RESTORE_AGE_SECONDS,
            RESTORE_AGE_SECONDS,
            f"no successful restore rehearsal for {RESTORE_AGE_SECONDS // 86_400} days (REC-5)",
        )

    def _age_alarm(self, group: Group, event: str, metric: str, most_seconds: int, problem: str) -> None:
        """Declare the alarm on the age of the group's last event. Each member reports an age; the smallest counts."""
        queries: list[aws.cloudwatch.MetricAlarmMetricQueryArgsDict] = [
            {
                "id": f"m{member.index}",
                "metric": {
                    "namespace": self._topology.prefix,
                    "metric_name": metric,
                    "dimensions": {metrics.DIMENSION: member.name},
                    "period": PERIOD_SECONDS,
                    "stat": "Minimum",
                },
            }
            for member in group.members
        ]
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-{group.name}-{event}",
            name=f"{self._topology.prefix}-{group.name}-{event}",
            alarm_description=f"{group.name}: {problem}",
            metric_queries=[
                *queries,
                {"id": "age", "expression": "MIN(METRICS())", "label": f"age of the last {event}", "return_data": True},
            ],
            comparison_operator="GreaterThanThreshold",
            threshold=most_seconds,
            evaluation_periods=5,
            treat_missing_data="breaching",
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._own,
        )

    def _alarm(
        self,
        member: Member,
        metric: str,
        comparison: str,
        threshold: int,
        *,
        minutes: int = 5,
        missing_data: str = "missing",
    ) -> None:
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-{member.name}-{metric}",
            name=f"{self._topology.prefix}-{member.name}-{metric}",
            alarm_description=f"{member.name}: {metric}",
            namespace=self._topology.prefix,
            metric_name=metric,
            dimensions={metrics.DIMENSION: member.name},
            statistic="Maximum",
            period=PERIOD_SECONDS,
            evaluation_periods=minutes,
            comparison_operator=comparison,
            threshold=threshold,
            treat_missing_data=missing_data,
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._own,
        )

    def _failure_alarms(self) -> None:
        """Declare alarms on failures in Systems Manager: of health gates, maintenance windows and the restore drill."""
        self._event_alarm(
            "gate",
            "A member did not become healthy in time",
            "EC2 State Manager Association State Change",
            {"status": ["Failed"]},
        )
        self._event_alarm(
            "patching",
            "The maintenance window stopped at a member",
            "Maintenance Window Execution State-change Notification",
            {"status": ["FAILED", "TIMED_OUT"]},
        )
        self._event_alarm(
            "rehearsal",
            "The restore drill failed: look whether the secret with the backups' keys still has its tag",
            "EC2 Automation Execution Status-change Notification",
            {
                "Definition": [f"{self._topology.prefix}-{RESTORE_DRILL}"],
                "Status": ["Failed", "TimedOut", "Cancelled"],
            },
        )

    def _event_alarm(self, label: str, description: str, kind: str, detail: dict[str, list[str]]) -> None:
        pattern = {"source": ["aws.ssm"], "detail-type": [kind], "detail": detail}
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-{label}",
            name=f"{self._topology.prefix}-{label}-failed",
            description=description,
            event_pattern=json.dumps(pattern, sort_keys=True),
            opts=self._own,
        )
        aws.cloudwatch.EventTarget(f"{self._name}-{label}", rule=rule.name, arn=self.topic_arn, opts=self._own)

    def _edge_notifications(self) -> None:
        account, recipients = self._topology.settings.edge.account_id, self._topology.settings.alarms
        hooks = [
            cloudflare.NotificationPolicyWebhooks(
                f"{self._name}-hook-{index}",
                account_id=account,
                name=f"{self._topology.prefix}-{index}",
                url=url,
                opts=self._own,
            )
            for index, url in enumerate(recipients.webhooks)
        ]
        filters_by_alert: dict[str, cloudflare.NotificationPolicyFiltersArgsDict] = {
            "health_check_status_notification": {
                "health_check_ids": [self._args.health_check_id],
                "statuses": ["Unhealthy", "Healthy"],
            },
            "tunnel_health_event": {"tunnel_ids": [self._args.tunnel_id]},
        }
        for alert, filters in filters_by_alert.items():
            cloudflare.NotificationPolicy(
                f"{self._name}-{alert.replace('_', '-')}",
                account_id=account,
                name=f"{self._topology.prefix}: {alert.replace('_', ' ')}",
                alert_type=alert,
                enabled=True,
                filters=filters,
                mechanisms={
                    "emails": [{"id": email} for email in recipients.emails],
                    "webhooks": [{"id": hook.id} for hook in hooks],
                },
                opts=self._own,
            )
