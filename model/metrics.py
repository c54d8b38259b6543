"""The figures that every machine publishes to CloudWatch each minute: the names that alarms are made of.

The namespace is the topology's `prefix`; the one dimension is the member's name.
"""

from __future__ import annotations

DIMENSION = "Member"

HEALTHY = "Healthy"
"""1 while the member reports healthy, else 0. Every member."""

DATA_DISK_USED_PERCENT = "DataDiskUsedPercent"
"""How full the data volume is. Every member that has one."""

REPLICATION_LAG_BYTES = "ReplicationLagBytes"
"""How far a member is behind its leader; 0 on the leader; missing while unknown. Coordinators and workers."""

WAL_WAITING_SECONDS = "WalWaitingSeconds"
"""For how long the oldest finished WAL segment has waited for the archive; 0 on a standby. Coordinators and workers."""

BACKUP_AGE_SECONDS = "BackupAgeSeconds"
"""Since this group's last good backup ended; missing while the repository cannot be read. Coordinators and workers."""
