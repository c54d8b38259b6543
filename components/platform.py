"""The whole platform: creates all components with their dependencies, and collects the stack's outputs."""

from __future__ import annotations

from dataclasses import replace

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from components.alarms import Alarms, AlarmsArgs
from components.api import Api, ApiArgs
from components.backup_workers import BackupWorkers, BackupWorkersArgs
from components.certificates import Certificates, CertificatesArgs
from components.citus import CitusCluster, CitusClusterArgs
from components.connection import DatabaseConnection, DatabaseConnectionArgs
from components.image_pipeline import ImagePipeline, ImagePipelineArgs
from components.keys import Keys, KeysArgs
from components.machine_access import MachineAccess, MachineAccessArgs
from components.machine_files import MachineFiles, MachineFilesArgs
from components.maintenance import Maintenance, MaintenanceArgs
from components.network import Network, NetworkArgs
from components.offsite import StorageKeys
from components.restore_drill import RestoreDrill, RestoreDrillArgs
from components.status_page import StatusPage, StatusPageArgs
from components.tokens import signing_secret
from components.tunnel import DatabaseTunnel, DatabaseTunnelArgs
from components.vault import BackupVault, BackupVaultArgs
from components.zone import Domain, DomainArgs
from model.copies import AwsCopy, address_of
from model.drill_reports import Reports, restore_shown, summary
from model.topology import Topology

RUNBOOKS = {
    "coordinatorFailover": "docs/runbooks/coordinator-failover.md",
    "restore": "docs/runbooks/restore.md",
    "rollMembers": "docs/runbooks/roll-members.md",
    "apiRollout": "docs/runbooks/api-rollout.md",
    "dayTwo": "docs/runbooks/day-2.md",
}


class Platform(ComponentResource):
    """`backbuild:index:Platform`: all components. Its children inherit the AWS provider of the database's region."""

    results: dict[str, object]
    """The stack's outputs: URLs, addresses, tokens, names, paths of the runbooks, and the newest verdicts of drills."""

    def __init__(self, name: str, topology: Topology, drills: Reports) -> None:
        database_region = aws_provider("database", topology, topology.settings.database.region)
        super().__init__("backbuild:index:Platform", name, {}, ResourceOptions(providers=[database_region]))
        own = ResourceOptions(parent=self)
        settings = topology.settings

        zone = Domain("zone", replace(_domain(topology, settings.domain, apex_routed=True), mail=settings.mail), own)
        status_zone = Domain("status-zone", _domain(topology, settings.status_domain, apex_routed=False), own)
        elsewhere = {
            copy.name: aws_provider(copy.name, topology, copy.region, copy.role_arn)
            for copy in topology.copies
            if isinstance(copy, AwsCopy)
        }
        vault = BackupVault("vault", BackupVaultArgs(topology, elsewhere), own)
        keys = Keys("keys", KeysArgs(topology), own)
        certificates = Certificates("certificates", CertificatesArgs(topology), own)
        tunnel = DatabaseTunnel("database", DatabaseTunnelArgs(topology, zone.zone_id), own)
        network = Network("network", NetworkArgs(topology), own)
        secrets = {
            **keys.passwords,
            "backup_storage": Output.json_dumps(_keys_of(vault.machine_keys)),
            "backup_readers": _readers_secret(topology, vault),
            "manifest_keys": keys.manifest_keys,
            "tunnel_token": tunnel.token,
            **certificates.secrets,
            "consensus": Output.concat(
                f"patroni-{settings.database.password_generation}:", keys.passwords["consensus"]
            ),
        }
        files = MachineFiles("machine-files", MachineFilesArgs(topology), own)
        access = MachineAccess(
            "access", MachineAccessArgs(topology, keys.key_arn, secrets, network.storage_endpoint_id), own
        )
        cluster = CitusCluster("cluster", CitusClusterArgs(topology, network, access, files, keys.key_arn), own)
        connection = DatabaseConnection(
            "database",
            DatabaseConnectionArgs(topology, tunnel, keys.passwords["application"], [cluster.groups["gateway"].gate]),
            own,
        )
        # Operators verify alarms with it: another one makes each of their receivers need a change.
        data = ResourceOptions(parent=self, protect=settings.protect)
        alarm_secret = signing_secret("alarm-secret", data)
        status = StatusPage(
            "status", StatusPageArgs(topology, status_zone.zone_id, alarm_secret, restore_shown(drills)), own
        )
        backups = BackupWorkers(
            "backups",
            BackupWorkersArgs(
                topology, vault, keys.manifest_public_keys, zone.zone_id, status.mail_domain, alarm_secret
            ),
            own,
        )
        api = Api("api", ApiArgs(topology, zone.zone_id, connection.hyperdrive_id, backups.script_names["report"]), own)
        built = settings.database.image_pipeline.base_image is not None
        pipeline = ImagePipeline("image", ImagePipelineArgs(topology, network, keys.key_arn), own) if built else None
        Maintenance("maintenance", MaintenanceArgs(topology, cluster), own)
        RestoreDrill("restore-drill", RestoreDrillArgs(topology, access.readers_arn), own)
        Alarms("alarms", AlarmsArgs(topology, keys.key_arn, cluster, api.health_check_id, tunnel.tunnel_id), own)
        self.results = {
            "apiUrl": api.url,
            "apiVersion": api.version_id,
            "healthUrl": topology.hostnames.health_url,
            "statusUrl": status.url,
            "statusTokens": status.operator_tokens,
            "backupsUrl": backups.url,
            "backupsToken": backups.token,
            "alarmSecret": alarm_secret,
            "contact": settings.contact,
            "nameServers": zone.name_servers,
            "statusNameServers": status_zone.name_servers,
            "dsRecords": {settings.domain: zone.ds_record, settings.status_domain: status_zone.ds_record},
            "addresses": {member.name: member.address for group in topology.groups for member in group.members},
            "imagePipeline": pipeline.arn if pipeline else None,
            "instances": cluster.instance_ids,
            "buckets": {copy.name: copy.bucket for copy in topology.copies},
            "retentionDays": {kept.name: kept.keep_days for kept in topology.retention},
            "manifestPublicKeys": keys.manifest_public_keys,
            "runbooks": RUNBOOKS,
            "drills": summary(drills, settings.drills.max_age_days),
        }
        self.register_outputs({})


def aws_provider(name: str, topology: Topology, region: str, role_arn: str | None = None) -> aws.Provider:
    """Return an AWS provider for a region with default tags; `role_arn` selects another account."""
    # Typed arguments: provider settings are sent as JSON, and the SDK does not translate the keys of dictionaries.
    tags = {"ManagedBy": "pulumi", "Stack": topology.stack, **topology.settings.tags}
    role = aws.ProviderAssumeRoleArgs(role_arn=role_arn, session_name=topology.prefix) if role_arn else None
    return aws.Provider(
        name,
        region=region,
        default_tags=aws.ProviderDefaultTagsArgs(tags=tags),
        assume_roles=None if role is None else [role],
    )


def _domain(topology: Topology, domain: str, *, apex_routed: bool) -> DomainArgs:
    settings = topology.settings
    return DomainArgs(settings.edge.account_id, domain, settings.contact, settings.protect, apex_routed)


def _readers_secret(topology: Topology, vault: BackupVault) -> Output[str]:
    """Return JSON with the address and the read-only keys of each copy that machines can restore from."""
    keys = vault.reader_keys
    readable = [copy for copy in topology.copies if copy.name in keys]
    return Output.json_dumps(
        {"copies": {copy.name: {**address_of(copy), **_keys_of(keys[copy.name])} for copy in readable}}
    )


def _keys_of(keys: StorageKeys) -> dict[str, Output[str]]:
    return {"accessKeyId": keys.access_key_id, "secretAccessKey": keys.secret_access_key}
