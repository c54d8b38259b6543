"""Names of the CloudWatch metrics that every machine publishes each minute, and that alarms use.

The namespace is the topology's `prefix`; the only dimension is the member's name.
"""

from __future__ import annotations

DIMENSION = "Member"

HEALTHY = "Healthy"
"""1 if the member is healthy, else 0. Every member."""

DATA_DISK_USED_PERCENT = "DataDiskUsedPercent"
"""Used space of the data volume in percent. Every member with a data volume."""

REPLICATION_LAG_BYTES = "ReplicationLagBytes"
"""Replication lag behind the leader; 0 on the leader; missing while unknown. Coordinators and Citus workers."""

WAL_WAITING_SECONDS = "WalWaitingSeconds"
"""Waiting time of the oldest WAL segment that is not archived; 0 on a standby. Coordinators and Citus workers."""

BACKUP_AGE_SECONDS = "BackupAgeSeconds"
"""Age of this group's last successful backup; missing while the repository cannot be read. Coordinators and workers."""

RESTORE_AGE_SECONDS = "RestoreAgeSeconds"
"""Age of this member's last restore rehearsal, or of its volume before the first. Coordinators and Citus workers."""
