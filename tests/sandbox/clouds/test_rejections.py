"""Every rule on inputs: a valid resource of each type, and changes that the clouds must reject."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from sandbox.clouds import Clouds
from sandbox.values import UNKNOWN, transform
from tests.sandbox.clouds.conftest import ACCOUNT_ID, ZONE_ID, urn

POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}],
    }
)
ALLOW_NOTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps", "Action": "s3:*"}]})
OLD = json.dumps({"Version": "2020-01-01", "Statement": []})

RIGHT: dict[str, dict[str, Any]] = {
    "aws:ec2/vpc:Vpc": {"cidrBlock": "10.0.0.0/16", "tags": {"Name": "main"}},
    "aws:ec2/subnet:Subnet": {"vpcId": UNKNOWN, "cidrBlock": "10.0.1.0/24", "availabilityZone": "eu-central-1a"},
    "aws:ec2/natGateway:NatGateway": {"subnetId": UNKNOWN, "allocationId": UNKNOWN},
    "aws:ec2/route:Route": {"routeTableId": UNKNOWN, "destinationCidrBlock": "0.0.0.0/0", "gatewayId": UNKNOWN},
    "aws:ec2/vpcEndpoint:VpcEndpoint": {
        "vpcId": UNKNOWN,
        "serviceName": "com.amazonaws.eu-central-1.s3",
        "vpcEndpointType": "Gateway",
        "routeTableIds": [UNKNOWN],
    },
    "aws:ec2/flowLog:FlowLog": {"vpcId": UNKNOWN, "trafficType": "ALL", "logDestination": UNKNOWN},
    "aws:ec2/securityGroup:SecurityGroup": {
        "vpcId": UNKNOWN,
        "name": "db",
        "ingress": [{"protocol": "tcp", "fromPort": 5432, "toPort": 5432, "cidrBlocks": ["10.0.0.0/16"]}],
    },
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {
        "securityGroupId": UNKNOWN,
        "ipProtocol": "tcp",
        "fromPort": 5432,
        "toPort": 5432,
        "cidrIpv4": "10.0.0.0/16",
    },
    "aws:ec2/instance:Instance": {
        "ami": "ami-0123456789abcdef0",
        "instanceType": "r7g.xlarge",
        "subnetId": UNKNOWN,
        "privateIp": "10.0.1.10",
        "userDataBase64": base64.b64encode(b"#cloud-config").decode(),
        "rootBlockDevice": {"volumeType": "gp3", "volumeSize": 20, "encrypted": True},
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
    },
    "aws:ebs/volume:Volume": {
        "availabilityZone": "eu-central-1a",
        "type": "gp3",
        "size": 100,
        "iops": 3000,
        "throughput": 125,
    },
    "aws:ec2/volumeAttachment:VolumeAttachment": {
        "deviceName": "/dev/sdf",
        "instanceId": UNKNOWN,
        "volumeId": UNKNOWN,
    },
    "aws:iam/role:Role": {"name": "node", "assumeRolePolicy": TRUST},
    "aws:iam/rolePolicy:RolePolicy": {"role": UNKNOWN, "policy": POLICY},
    "aws:kms/key:Key": {"deletionWindowInDays": 7, "enableKeyRotation": True, "rotationPeriodInDays": 90},
    "aws:kms/alias:Alias": {"name": "alias/db", "targetKeyId": UNKNOWN},
    "aws:secretsmanager/secret:Secret": {"name": "db/password", "recoveryWindowInDays": 0},
    "aws:secretsmanager/secretVersion:SecretVersion": {"secretId": UNKNOWN, "secretString": "x"},
    "aws:ssm/association:Association": {
        "name": "AWS-RunShellScript",
        "targets": [{"key": "InstanceIds", "values": [UNKNOWN]}],
        "scheduleExpression": "rate(30 minutes)",
        "maxErrors": "10%",
    },
    "aws:ssm/document:Document": {"name": "gate", "documentType": "Command", "content": "{}"},
    "aws:ssm/maintenanceWindow:MaintenanceWindow": {
        "name": "patch",
        "schedule": "cron(0 2 ? * SUN *)",
        "duration": 3,
        "cutoff": 1,
    },
    "aws:cloudwatch/logGroup:LogGroup": {"name": "/db/flow", "retentionInDays": 30},
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        "name": "lag",
        "comparisonOperator": "GreaterThanThreshold",
        "evaluationPeriods": 3,
        "datapointsToAlarm": 2,
        "metricName": "Lag",
        "namespace": "Db",
        "period": 60,
        "statistic": "Maximum",
        "threshold": 30,
    },
    "aws:ssm/patchBaseline:PatchBaseline": {
        "name": "debian",
        "operatingSystem": "DEBIAN",
        "approvalRules": [{"patchFilters": [{"key": "PRODUCT", "values": ["*"]}]}],
    },
    "aws:cloudwatch/eventRule:EventRule": {"name": "nightly", "scheduleExpression": "cron(0 2 * * ? *)"},
    "aws:sns/topicSubscription:TopicSubscription": {"topic": UNKNOWN, "protocol": "email", "endpoint": "a@b.example"},
    "aws:s3/bucket:Bucket": {"bucket": "offsite-backups", "objectLockEnabled": True, "versioning": {"enabled": True}},
    "aws:s3/bucketVersioning:BucketVersioning": {
        "bucket": UNKNOWN,
        "versioningConfiguration": {"status": "Enabled"},
    },
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": {
        "bucket": UNKNOWN,
        "rule": {"defaultRetention": {"mode": "COMPLIANCE", "days": 35}},
    },
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
        "bucket": UNKNOWN,
        "rules": [
            {
                "id": "age",
                "status": "Enabled",
                "transitions": [{"days": 30, "storageClass": "STANDARD_IA"}, {"days": 90, "storageClass": "GLACIER"}],
                "expiration": {"days": 400},
            }
        ],
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        "bucket": UNKNOWN,
        "rules": [
            {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": UNKNOWN}},
        ],
    },
    "aws:s3/bucketPolicy:BucketPolicy": {"bucket": UNKNOWN, "policy": POLICY},
    "cloudflare:index/zone:Zone": {"name": "shop.example", "account": {"id": ACCOUNT_ID}},
    "cloudflare:index/zoneSetting:ZoneSetting": {"zoneId": ZONE_ID, "settingId": "min_tls_version", "value": "1.2"},
    "cloudflare:index/dnsRecord:DnsRecord": {
        "zoneId": ZONE_ID,
        "name": "api.shop.example",
        "type": "A",
        "content": "192.0.2.1",
        "ttl": 300,
    },
    "cloudflare:index/hostnameTlsSetting:HostnameTlsSetting": {
        "zoneId": ZONE_ID,
        "hostname": "api.shop.example",
        "settingId": "min_tls_version",
        "value": "1.2",
    },
    "cloudflare:index/certificatePack:CertificatePack": {
        "zoneId": ZONE_ID,
        "certificateAuthority": "google",
        "type": "advanced",
        "validationMethod": "txt",
        "validityDays": 90,
        "hosts": ["shop.example", "*.shop.example"],
    },
    "cloudflare:index/healthcheck:Healthcheck": {
        "zoneId": ZONE_ID,
        "name": "api",
        "address": "api.shop.example",
        "type": "HTTPS",
        "interval": 60,
    },
    "cloudflare:index/r2Bucket:R2Bucket": {
        "accountId": ACCOUNT_ID,
        "name": "backups",
        "jurisdiction": "eu",
        "location": "weur",
    },
    "cloudflare:index/r2BucketLock:R2BucketLock": {
        "accountId": ACCOUNT_ID,
        "bucketName": "backups",
        "jurisdiction": "eu",
        "rules": [
            {
                "id": "keep",
                "enabled": True,
                "prefix": "daily/",
                "condition": {"type": "Age", "maxAgeSeconds": 3_024_000},
            }
        ],
    },
    "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle": {
        "accountId": ACCOUNT_ID,
        "bucketName": "backups",
        "rules": [
            {
                "id": "age",
                "enabled": True,
                "conditions": {"prefix": "daily/"},
                "deleteObjectsTransition": {"condition": {"type": "Age", "maxAge": 3_024_000}},
            }
        ],
    },
    "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification": {
        "accountId": ACCOUNT_ID,
        "bucketName": "backups",
        "queueId": UNKNOWN,
        "rules": [{"actions": ["PutObject"]}],
    },
    "cloudflare:index/queue:Queue": {
        "accountId": ACCOUNT_ID,
        "queueName": "events",
        "settings": {"messageRetentionPeriod": 345_600},
    },
    "cloudflare:index/queueConsumer:QueueConsumer": {
        "accountId": ACCOUNT_ID,
        "queueId": UNKNOWN,
        "type": "worker",
        "scriptName": "replicate",
        "settings": {"batchSize": 10, "maxRetries": 10, "maxWaitTimeMs": 5000},
    },
    "cloudflare:index/workersScript:WorkersScript": {
        "accountId": ACCOUNT_ID,
        "scriptName": "status",
        "content": "export default {}",
        "mainModule": "index.js",
        "compatibilityDate": "2026-01-01",
        "bindings": [{"name": "DB", "type": "d1", "databaseId": UNKNOWN}],
    },
    "cloudflare:index/workersDeployment:WorkersDeployment": {
        "accountId": ACCOUNT_ID,
        "scriptName": "api",
        "strategy": "percentage",
        "versions": [{"versionId": UNKNOWN, "percentage": 90}, {"versionId": UNKNOWN, "percentage": 10}],
    },
    "cloudflare:index/workersCronTrigger:WorkersCronTrigger": {
        "accountId": ACCOUNT_ID,
        "scriptName": "status",
        "schedules": [{"cron": "*/5 * * * *"}],
    },
    "cloudflare:index/workersRoute:WorkersRoute": {
        "zoneId": ZONE_ID,
        "pattern": "api.shop.example/*",
        "script": "api",
    },
    "cloudflare:index/workersKvNamespace:WorkersKvNamespace": {"accountId": ACCOUNT_ID, "title": "state"},
    "cloudflare:index/d1Database:D1Database": {"accountId": ACCOUNT_ID, "name": "status"},
    "cloudflare:index/hyperdriveConfig:HyperdriveConfig": {
        "accountId": ACCOUNT_ID,
        "name": "db",
        "origin": {"database": "app", "user": "app", "password": "x", "scheme": "postgres", "host": "db.shop.example"},
        "caching": {"maxAge": 60},
    },
    "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig": {
        "accountId": ACCOUNT_ID,
        "tunnelId": UNKNOWN,
        "config": {
            "ingresses": [
                {"hostname": "db.shop.example", "service": "tcp://localhost:5432"},
                {"service": "http_status:404"},
            ]
        },
    },
    "cloudflare:index/zeroTrustAccessPolicy:ZeroTrustAccessPolicy": {
        "accountId": ACCOUNT_ID,
        "name": "machines",
        "decision": "non_identity",
        "includes": [{"serviceToken": {"tokenId": UNKNOWN}}],
    },
    "cloudflare:index/accountToken:AccountToken": {
        "accountId": ACCOUNT_ID,
        "name": "backup",
        "policies": [
            {"effect": "allow", "permissionGroups": [{"id": "x"}], "resources": '{"com.cloudflare.api.account.0": "*"}'}
        ],
    },
    "cloudflare:index/notificationPolicy:NotificationPolicy": {
        "accountId": ACCOUNT_ID,
        "name": "tunnel",
        "alertType": "tunnel_health_event",
        "mechanisms": {"emails": [{"id": "ops@shop.example"}]},
    },
    "cloudflare:index/notificationPolicyWebhooks:NotificationPolicyWebhooks": {
        "accountId": ACCOUNT_ID,
        "name": "pager",
        "url": "https://pager.example/hook",
    },
    "aws:imagebuilder/component:Component": {
        "name": "packages",
        "platform": "Linux",
        "version": "1.0.7",
        "data": "schemaVersion: 1.0",
    },
    "aws:imagebuilder/imageRecipe:ImageRecipe": {
        "name": "machines",
        "version": "1.0.7",
        "parentImage": "ami-0123456789abcdef0",
        "components": [{"componentArn": UNKNOWN}],
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"encrypted": "true", "volumeSize": 16}}],
    },
    "aws:imagebuilder/infrastructureConfiguration:InfrastructureConfiguration": {
        "name": "machines",
        "instanceProfileName": UNKNOWN,
        "instanceTypes": ["t3.small"],
        "subnetId": UNKNOWN,
        "securityGroupIds": [UNKNOWN],
        "instanceMetadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
    },
    "aws:imagebuilder/distributionConfiguration:DistributionConfiguration": {
        "name": "machines",
        "distributions": [
            {
                "region": "eu-central-1",
                "amiDistributionConfiguration": {"name": "machines-{{ imagebuilder:buildDate }}"},
            }
        ],
    },
    "aws:imagebuilder/imagePipeline:ImagePipeline": {
        "name": "machines",
        "imageRecipeArn": UNKNOWN,
        "infrastructureConfigurationArn": UNKNOWN,
        "schedule": {"scheduleExpression": "cron(0 7 1 * ? *)"},
    },
    "random:index/randomPassword:RandomPassword": {"length": 32, "minSpecial": 2},
    "random:index/randomInteger:RandomInteger": {"min": 1, "max": 6},
}

# The last part of the type, the change by path, the path of the expected error, and a part of its message.
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("Vpc", {"cidrBlok": "10.0.0.0/16"}, "cidrBlok", "did you mean cidrBlock?"),
    ("Vpc", {"cidr_block": "10.0.0.0/16"}, "cidr_block", "did you mean cidrBlock?"),
    ("Vpc", {"cidrBlock": 10}, "cidrBlock", "must be a string, not the number 10"),
    ("Vpc", {"enableDnsSupport": "yes"}, "enableDnsSupport", "must be a boolean"),
    ("Vpc", {"tags": ["a"]}, "tags", "must be a map of string"),
    ("Vpc", {"tags": {"a": 1}}, "tags.a", "must be a string"),
    ("Vpc", {"tags": {str(n): "x" for n in range(51)}}, "tags", "at most 50"),
    ("Vpc", {"tags": {"k" * 129: "x"}}, "tags", "from 1 to 128"),
    ("Vpc", {"tags": {"k": "x" * 257}}, "tags", "at most 256"),
    ("Vpc", {"tags": {"aws:name": "x"}}, "tags", "reserved"),
    ("Vpc", {"cidrBlock": "10.0.0.1/16"}, "cidrBlock", "host bits"),
    ("Vpc", {"cidrBlock": "10.0.0.0/8"}, "cidrBlock", "/16 to /28"),
    ("Vpc", {"cidrBlock": "10.0.0.0"}, "cidrBlock", "prefix"),
    ("Vpc", {"cidrBlock": "ten"}, "cidrBlock", "10.0.0.0/16"),
    ("Vpc", {"region": "Frankfurt"}, "region", "AWS region"),
    ("Subnet", {"vpcId": None}, "vpcId", "required"),
    ("Subnet", {"availabilityZone": "eu-central-1"}, "availabilityZone", "eu-central-1a"),
    ("NatGateway", {"allocationId": None}, "allocationId", "Eip"),
    ("Route", {"natGatewayId": UNKNOWN}, "gatewayId", "exactly one"),
    ("Route", {"destinationCidrBlock": "all"}, "destinationCidrBlock", "IPv4 range"),
    ("VpcEndpoint", {"vpcEndpointType": "Gatway"}, "vpcEndpointType", "Interface"),
    ("VpcEndpoint", {"vpcEndpointType": "Interface"}, "routeTableIds", "Interface endpoint"),
    ("VpcEndpoint", {"policy": "{"}, "policy", "not JSON"),
    ("FlowLog", {"maxAggregationInterval": 61}, "maxAggregationInterval", "60, 600"),
    ("FlowLog", {"trafficType": "SOME"}, "trafficType", "REJECT"),
    ("SecurityGroup", {"name": "sg-db"}, "name", "sg-"),
    ("SecurityGroup", {"ingress.0.toPort": 70000}, "ingress[0].toPort", "65535"),
    ("SecurityGroup", {"ingress.0.protocl": "tcp"}, "ingress[0].protocl", "did you mean protocol?"),
    ("SecurityGroup", {"ingress.0.protocol": "tpc"}, "ingress[0].protocol", "tcp, udp"),
    ("SecurityGroup", {"ingress.0.fromPort": None}, "ingress[0].fromPort", "required"),
    ("Component", {"version": "1.x.x"}, "version", "three numbers"),
    ("Component", {"version": None}, "version", "required"),
    ("Component", {"uri": "s3://bucket/component.yml"}, "data", "exactly one"),
    ("Component", {"data": "x" * 16001}, "data", "at most 16000"),
    ("ImageRecipe", {"parentImage": "debian-13"}, "parentImage", "ami-0123456789abcdef0"),
    ("ImageRecipe", {"components": None}, "components", "required"),
    ("ImageRecipe", {"blockDeviceMappings.0.ebs.encrypted": "yes"}, "blockDeviceMappings[0].ebs.encrypted", "true"),
    ("InfrastructureConfiguration", {"instanceProfileName": None}, "instanceProfileName", "required"),
    ("InfrastructureConfiguration", {"securityGroupIds": None}, "securityGroupIds", "if subnetId is set"),
    (
        "InfrastructureConfiguration",
        {"instanceMetadataOptions.httpTokens": "maybe"},
        "instanceMetadataOptions.httpTokens",
        "required, optional",
    ),
    (
        "DistributionConfiguration",
        {"distributions.0.amiDistributionConfiguration.name": "a/b"},
        "distributions[0].amiDistributionConfiguration.name",
        "letters, digits",
    ),
    ("ImagePipeline", {"imageRecipeArn": None}, "imageRecipeArn", "exactly one"),
    ("ImagePipeline", {"schedule.scheduleExpression": "0 7 * * *"}, "schedule.scheduleExpression", "cron("),
    (
        "ImagePipeline",
        {"imageTestsConfiguration": {"timeoutMinutes": 5}},
        "imageTestsConfiguration.timeoutMinutes",
        "60",
    ),
    ("SecurityGroupIngressRule", {"toPort": 65536}, "toPort", "65535"),
    ("SecurityGroupIngressRule", {"ipProtocol": "http"}, "ipProtocol", "tcp, udp"),
    ("SecurityGroupIngressRule", {"toPort": 5431}, "toPort", "below fromPort"),
    ("SecurityGroupIngressRule", {"toPort": None}, "toPort", "required for tcp"),
    ("SecurityGroupIngressRule", {"cidrIpv4": None}, "cidrIpv4", "exactly one"),
    ("SecurityGroupIngressRule", {"prefixListId": "pl-1"}, "prefixListId", "exactly one"),
    ("SecurityGroupIngressRule", {"ipProtocol": "-1"}, "fromPort", "is not allowed if ipProtocol is -1"),
    ("PatchBaseline", {"approvalRules.0.approveAfterDays": 1}, "approvalRules[0].approveAfterDays", "release dates"),
    (
        "PatchBaseline",
        {"operatingSystem": "UBUNTU", "approvalRules.0.approveUntilDate": "2026-12-31"},
        "approvalRules[0].approveUntilDate",
        "not supported for UBUNTU",
    ),
    (
        "Instance",
        {"metadataOptions.instanceMetadataTags": "enabled", "tags": {"cost/centre": "42"}},
        "tags",
        "while instanceMetadataTags is enabled",
    ),
    ("Instance", {"ami": None}, "ami", "launchTemplate"),
    ("Instance", {"ami": "debian"}, "ami", "image id"),
    ("Instance", {"privateIp": "10.0.1"}, "privateIp", "IPv4 address"),
    ("Instance", {"userDataBase64": base64.b64encode(b"x" * 16385).decode()}, "userDataBase64", "16384"),
    ("Instance", {"userDataBase64": "%"}, "userDataBase64", "base64"),
    ("Instance", {"userData": "x"}, "userDataBase64", "one of them"),
    ("Instance", {"userDataBase64": None, "userData": "x" * 16385}, "userData", "16384"),
    ("Instance", {"metadataOptions.httpTokens": "maybe"}, "metadataOptions.httpTokens", "required, optional"),
    ("Instance", {"metadataOptions.httpToken": "required"}, "metadataOptions.httpToken", "did you mean httpTokens?"),
    ("Instance", {"rootBlockDevice.volumeType": "gp4"}, "rootBlockDevice.volumeType", "gp3"),
    ("Instance", {"rootBlockDevice.iops": 20000}, "rootBlockDevice.iops", "3000 to 16000"),
    ("Volume", {"size": 20000}, "size", "1 to 16384"),
    ("Volume", {"iops": 2000}, "iops", "3000 to 16000"),
    ("Volume", {"iops": 16000, "size": 10}, "iops", "500 IOPS per GiB"),
    ("Volume", {"throughput": 1001}, "throughput", "125 to 1000"),
    ("Volume", {"throughput": 1000}, "throughput", "0.25"),
    ("Volume", {"type": "gp2"}, "throughput", "only valid for gp3"),
    ("Volume", {"type": "ssd"}, "type", "gp3"),
    ("Volume", {"size": None}, "size", "snapshotId"),
    ("VolumeAttachment", {"deviceName": "sdf"}, "deviceName", "/dev/sdf"),
    ("Role", {"name": "n" * 65}, "name", "at most 64 are allowed"),
    ("Role", {"assumeRolePolicy": "{}"}, "assumeRolePolicy", "2012-10-17"),
    ("Role", {"assumeRolePolicy": POLICY}, "assumeRolePolicy", "Principal"),
    ("Role", {"maxSessionDuration": 60}, "maxSessionDuration", "3600 to 43200"),
    ("RolePolicy", {"policy": "not json"}, "policy", "not JSON"),
    ("RolePolicy", {"policy": ALLOW_NOTHING}, "policy", "Allow or Deny"),
    ("RolePolicy", {"policy": OLD}, "policy", "2012-10-17"),
    ("RolePolicy", {"policy": {"Version": "2012-10-17"}}, "policy.Statement", "required"),
    ("Key", {"deletionWindowInDays": 3}, "deletionWindowInDays", "7 to 30"),
    ("Key", {"rotationPeriodInDays": 89}, "rotationPeriodInDays", "90 to 2560"),
    ("Key", {"enableKeyRotation": None}, "rotationPeriodInDays", "enableKeyRotation"),
    ("Alias", {"name": "db"}, "name", "alias/NAME"),
    ("Alias", {"name": "alias/aws/db"}, "name", "not alias/aws/"),
    ("Secret", {"recoveryWindowInDays": 6}, "recoveryWindowInDays", "7 to 30 days, or 0"),
    ("SecretVersion", {"secretBinary": "eA=="}, "secretString", "exactly one"),
    ("Association", {"scheduleExpression": "rate(1 minutes)"}, "scheduleExpression", "rate(1 hour)"),
    ("Association", {"scheduleExpression": "every day"}, "scheduleExpression", "rate(30 minutes)"),
    ("Association", {"scheduleExpression": "cron(0 25 * * ? *)"}, "scheduleExpression", "hour"),
    ("Association", {"scheduleExpression": "cron(0 2 * * * *)"}, "scheduleExpression", "exactly one"),
    ("Association", {"maxErrors": "101%"}, "maxErrors", "percentage"),
    ("Association", {"targets.0.key": "Name"}, "targets[0].key", "tag:NAME"),
    ("Document", {"documentType": "Script"}, "documentType", "Command"),
    ("Document", {"name": "AWS-gate"}, "name", "AWS"),
    ("MaintenanceWindow", {"cutoff": 3}, "cutoff", "less than duration"),
    ("MaintenanceWindow", {"duration": 25}, "duration", "1 to 24"),
    ("LogGroup", {"retentionInDays": 31}, "retentionInDays", "30, 60"),
    ("MetricAlarm", {"evaluationPeriods": 0}, "evaluationPeriods", "minimum is 1"),
    ("MetricAlarm", {"datapointsToAlarm": 4}, "datapointsToAlarm", "evaluationPeriods 3"),
    ("MetricAlarm", {"period": 45}, "period", "multiples of 60"),
    ("MetricAlarm", {"comparisonOperator": "Above"}, "comparisonOperator", "GreaterThanThreshold"),
    ("MetricAlarm", {"extendedStatistic": "p99"}, "statistic", "exactly one"),
    ("MetricAlarm", {"treatMissingData": "bad"}, "treatMissingData", "breaching"),
    ("EventRule", {"scheduleExpression": None}, "scheduleExpression", "eventPattern"),
    ("TopicSubscription", {"protocol": "mail"}, "protocol", "email"),
    ("Bucket", {"bucket": "Backups"}, "bucket", "lower-case"),
    ("Bucket", {"bucket": "ab"}, "bucket", "3 to 63"),
    ("Bucket", {"bucket": "192.168.0.1"}, "bucket", "IP address"),
    ("Bucket", {"bucket": "a..b"}, "bucket", "two adjacent dots"),
    ("Bucket", {"versioning": {"enabled": False}}, "versioning.enabled", "object lock needs versioning"),
    ("BucketVersioning", {"versioningConfiguration.status": "On"}, "versioningConfiguration.status", "Enabled"),
    ("BucketVersioning", {"versioningConfiguration": None}, "versioningConfiguration", "required"),
    (
        "BucketObjectLockConfiguration",
        {"rule.defaultRetention.mode": "STRICT"},
        "rule.defaultRetention.mode",
        "COMPLIANCE",
    ),
    (
        "BucketObjectLockConfiguration",
        {"rule.defaultRetention.years": 1},
        "rule.defaultRetention.days",
        "exactly one",
    ),
    ("BucketLifecycleConfiguration", {"rules.0.transitions.0.days": 7}, "rules[0].transitions[0].days", "day 30"),
    ("BucketLifecycleConfiguration", {"rules.0.transitions.1.days": 29}, "rules[0].transitions[1].days", "sort them"),
    ("BucketLifecycleConfiguration", {"rules.0.expiration.days": 90}, "rules[0].expiration.days", "later than"),
    ("BucketLifecycleConfiguration", {"rules.0.status": "On"}, "rules[0].status", "Enabled"),
    (
        "BucketServerSideEncryptionConfiguration",
        {"rules.0.applyServerSideEncryptionByDefault.sseAlgorithm": "aes"},
        "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm",
        "aws:kms",
    ),
    (
        "BucketServerSideEncryptionConfiguration",
        {"rules.0.applyServerSideEncryptionByDefault.kmsKeyId": "x"},
        "rules[0].applyServerSideEncryptionByDefault.kmsKeyId",
        "did you mean kmsMasterKeyId?",
    ),
    ("BucketPolicy", {"policy": "[]"}, "policy", "JSON object"),
    ("Zone", {"name": "shop"}, "name", "domain name"),
    ("Zone", {"account": {"id": "me"}}, "account.id", "32 lower-case"),
    ("Zone", {"type": "half"}, "type", "full, partial"),
    ("ZoneSetting", {"value": "1.4"}, "value", "1.2, 1.3"),
    ("ZoneSetting", {"settingId": "min_tls_versions"}, "settingId", "did you mean min_tls_version?"),
    ("ZoneSetting", {"settingId": "always_use_https", "value": True}, "value", "on, off"),
    ("ZoneSetting", {"settingId": "security_header", "value": "on"}, "value", "an object"),
    (
        "ZoneSetting",
        {"settingId": "security_header", "value": {"strict_transport_security": {"max_ag": 1}}},
        "value.strict_transport_security.max_ag",
        "did you mean max_age?",
    ),
    ("ZoneSetting", {"zoneId": "shop.example"}, "zoneId", "32 lower-case"),
    ("DnsRecord", {"type": "ANAME"}, "type", "AAAA, CNAME"),
    ("DnsRecord", {"ttl": 29}, "ttl", "30 to 86400"),
    ("DnsRecord", {"proxied": True}, "ttl", "must be 1"),
    ("DnsRecord", {"proxied": True, "ttl": 1, "type": "TXT"}, "proxied", "A, AAAA, CNAME"),
    ("DnsRecord", {"content": "192.0.2.256"}, "content", "IPv4"),
    ("DnsRecord", {"content": None}, "content", "required for A"),
    ("DnsRecord", {"type": "CAA", "content": None}, "data", "required for CAA"),
    ("DnsRecord", {"type": "MX", "content": "mx.shop.example"}, "priority", "0 to 65535"),
    ("DnsRecord", {"data": {"tag": "isue"}}, "data.tag", "issue, issuewild"),
    ("HostnameTlsSetting", {"value": "2"}, "value", "1.2, 1.3"),
    ("CertificatePack", {"validityDays": 60}, "validityDays", "14, 30, 90, 365"),
    ("CertificatePack", {"certificateAuthority": "lets_encrypt", "validityDays": 30}, "validityDays", "90"),
    ("Healthcheck", {"interval": 1}, "interval", "5 to 3600"),
    ("Healthcheck", {"type": "UDP"}, "type", "HTTP, HTTPS, TCP"),
    ("R2Bucket", {"location": "mars"}, "location", "apac, eeur, enam, weur, wnam, oc"),
    ("R2Bucket", {"jurisdiction": "moon"}, "jurisdiction", "default, eu, fedramp, us"),
    ("R2Bucket", {"name": "Backups"}, "name", "lower-case"),
    ("R2Bucket", {"name": None}, "name", "required"),
    ("R2Bucket", {"accountId": "acme"}, "accountId", "32 lower-case"),
    ("R2BucketLock", {"rules.0.condition.type": "Forever"}, "rules[0].condition.type", "Age, Date, Indefinite"),
    ("R2BucketLock", {"rules.0.condition.maxAgeSeconds": None}, "rules[0].condition.maxAgeSeconds", "type is Age"),
    ("R2BucketLock", {"rules.0.condition.maxAge": 1}, "rules[0].condition.maxAge", "did you mean maxAgeSeconds?"),
    ("R2BucketLock", {"rules.0.enabled": "true"}, "rules[0].enabled", "must be a boolean"),
    (
        "R2BucketLifecycle",
        {"rules.0.deleteObjectsTransition.condition.maxAge": 35},
        "rules[0].deleteObjectsTransition.condition.maxAge",
        "minimum is 86400",
    ),
    ("R2BucketEventNotification", {"rules.0.actions.0": "Put"}, "rules[0].actions[0]", "PutObject"),
    ("Queue", {"queueName": "Events"}, "queueName", "lower-case"),
    ("Queue", {"settings.messageRetentionPeriod": 30}, "settings.messageRetentionPeriod", "60 to 1209600"),
    ("QueueConsumer", {"settings.batchSize": 101}, "settings.batchSize", "1 to 100"),
    ("QueueConsumer", {"settings.maxRetries": 101}, "settings.maxRetries", "0 to 100"),
    ("QueueConsumer", {"settings.maxWaitTimeMs": 60_001}, "settings.maxWaitTimeMs", "0 to 60000"),
    ("QueueConsumer", {"scriptName": None}, "scriptName", "required when type is worker"),
    ("WorkersScript", {"compatibilityDate": "1 May 2026"}, "compatibilityDate", "YYYY-MM-DD"),
    ("WorkersScript", {"bindings.0.type": "d2"}, "bindings[0].type", "kv_namespace"),
    ("WorkersScript", {"bindings.0.databaseId": None}, "bindings[0].id", "type d1"),
    ("WorkersScript", {"contentFile": "x.js"}, "contentFile", "one of them"),
    ("WorkersScript", {"scriptName": "Status"}, "scriptName", "lower-case"),
    ("WorkersDeployment", {"versions.1.percentage": 20}, "versions", "add up to 100"),
    ("WorkersCronTrigger", {"schedules.0.cron": "*/5 * * *"}, "schedules[0].cron", "5 fields"),
    ("WorkersCronTrigger", {"schedules.0.cron": "60 * * * *"}, "schedules[0].cron", "minute"),
    ("WorkersCronTrigger", {"schedules.0.cron": "0 0 * * 0"}, "schedules[0].cron", "1 to 7"),
    ("WorkersRoute", {"pattern": "api.*.example/*"}, "pattern", "leading *"),
    ("WorkersKvNamespace", {"title": " "}, "title", "1 to 512"),
    ("D1Database", {"name": "a b"}, "name", "letters"),
    ("D1Database", {"primaryLocationHint": "mars"}, "primaryLocationHint", "weur"),
    ("HyperdriveConfig", {"origin.port": 0}, "origin.port", "1 to 65535"),
    ("HyperdriveConfig", {"origin.passwd": "x"}, "origin.passwd", "did you mean password?"),
    ("HyperdriveConfig", {"caching.maxAge": 3601}, "caching.maxAge", "3600"),
    (
        "ZeroTrustTunnelCloudflaredConfig",
        {"config.ingresses.1.hostname": "x.example"},
        "config.ingresses[1]",
        "match everything",
    ),
    ("ZeroTrustAccessPolicy", {"decision": "allow"}, "decision", "non_identity"),
    ("AccountToken", {"policies.0.resources": "*"}, "policies[0].resources", "JSON"),
    ("NotificationPolicy", {"mechanisms": {"emails": []}}, "mechanisms", "at least one"),
    ("NotificationPolicy", {"alertType": "tunnel_healths_event"}, "alertType", "tunnel_health_event"),
    ("NotificationPolicyWebhooks", {"url": "http://pager.example"}, "url", "https://"),
    ("RandomPassword", {"length": 1}, "length", "at least 2"),
    ("RandomPassword", {"keepers": "x"}, "keepers", "map of string"),
    ("RandomInteger", {"max": 0}, "max", "min 1"),
]
TYPES = {type.rpartition(":")[2]: type for type in RIGHT}


def changed(inputs: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs with values set at dotted paths."""
    copied: Any = transform(inputs, lambda leaf: leaf)
    for path, value in change.items():
        place: Any = copied
        *parents, last = path.split(".")
        for step in parents:
            place = place[int(step) if step.isdigit() else step]
        place[int(last) if last.isdigit() else last] = value
    return copied


def check(clouds: Clouds, type: str, inputs: dict[str, Any]) -> dict[str, str]:
    provider = clouds.provider(type.partition(":")[0]).configure({})
    checked = provider.check(urn(type, "it"), type, None, inputs, b"seed")
    return {failure.path: failure.reason for failure in checked.failures}


@pytest.mark.parametrize("type", RIGHT, ids=lambda token: token.rpartition(":")[2])
def test_valid_inputs_pass(clouds: Clouds, type: str) -> None:
    assert check(clouds, type, RIGHT[type]) == {}


@pytest.mark.parametrize(
    ("name", "change", "path", "right"), WRONG, ids=lambda value: value if isinstance(value, str) else ""
)
def test_invalid_inputs_are_rejected(clouds: Clouds, name: str, change: dict[str, Any], path: str, right: str) -> None:
    type = TYPES[name]
    failures = check(clouds, type, changed(RIGHT[type], change))
    assert path in failures, failures
    assert right in failures[path]


def test_every_type_has_an_invalid_case() -> None:
    assert {name for name, *_ in WRONG} == set(TYPES)


def test_the_error_for_an_unknown_type_suggests_a_similar_one(clouds: Clouds) -> None:
    (reason,) = check(clouds, "aws:ec2/vpc:Vcp", {}).values()
    assert "no resource type aws:ec2/vpc:Vcp" in reason
    assert "aws:ec2/vpc:Vpc" in reason


@pytest.mark.parametrize(
    ("package", "config", "path"),
    [
        ("aws", {"region": "frankfurt"}, "region"),
        ("aws", {"regoin": "eu-central-1"}, "regoin"),
        ("aws", {"defaultTags": '{"tags": {"aws:x": "y"}}'}, "defaultTags.tags"),
        ("aws", {"defaultTags": '{"tag": {}}'}, "defaultTags.tag"),
        ("aws", {"assumeRoles": '[{"roleArn": "me"}]'}, "assumeRoles[0].roleArn"),
        ("cloudflare", {"apiToken": "short"}, "apiToken"),
    ],
)
def test_an_invalid_configuration_is_rejected(clouds: Clouds, package: str, config: dict[str, Any], path: str) -> None:
    failures = clouds.provider(package).check_config("urn", config).failures
    assert [failure.path for failure in failures] == [path]


def test_a_valid_configuration_passes_in_the_form_that_the_sdk_sends(clouds: Clouds) -> None:
    config = {
        "region": "eu-west-1",
        "defaultTags": '{"tags": {"Owner": "ops"}}',
        "assumeRoles": '[{"roleArn": "arn:aws:iam::210987654321:role/offsite"}]',
        "skipRegionValidation": "true",
        "version": "7.51.1",
    }
    checked = clouds.provider("aws").check_config("urn", config)
    assert checked.failures == ()
    assert checked.inputs == config
