"""The pipeline that builds the machines' image: Debian with the packages of all roles, so that boots download none."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from components.citus import ROOT_VOLUME_GIB
from components.network import Network
from components.policy_documents import assumed_by, policy
from machines.image import component, user_data, version_of
from model.topology import Topology

LOG_DAYS = 90
TEST_MINUTES = 60  # Image Builder's minimum
ROOT_DEVICE = "/dev/xvda"  # of Debian's images


@dataclass(frozen=True)
class ImagePipelineArgs:
    """The topology, whose settings name the base image; the builder's network; the key that encrypts the image."""

    topology: Topology
    network: Network
    key_arn: Output[str]


class ImagePipeline(ComponentResource):
    """`backbuild:index:ImagePipeline`: builds images that operators review and set as `database.image`.

    Makes: the component that installs the packages of all roles, the recipe, and the pipeline; the encrypted image's
    distribution to this region; and for the build instance a security group without ingress rules, an instance
    profile, and a log group. A changed component or base image becomes a new version of the recipe.
    """

    arn: Output[str]
    """The pipeline's ARN, with which an operator starts a build."""

    def __init__(self, name: str, args: ImagePipelineArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("backbuild:index:ImagePipeline", name, {}, opts)
        self._name: str = name
        self._args: ImagePipelineArgs = args
        self._own: ResourceOptions = ResourceOptions(parent=self)
        topology = args.topology
        self._tags: dict[str, str] = {"Name": f"{topology.prefix}-image"}

        logs = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/imagebuilder/{topology.prefix}",  # Image Builder writes to the group that has the recipe's name
            retention_in_days=LOG_DAYS,
            opts=self._own,
        )
        installed = self._component()
        schedule = topology.schedules.image
        self.arn = aws.imagebuilder.ImagePipeline(
            name,
            name=topology.prefix,
            description="Debian with the packages of all roles",
            image_recipe_arn=self._recipe(installed).arn,
            infrastructure_configuration_arn=self._infrastructure(installed, logs).arn,
            distribution_configuration_arn=self._distribution().arn,
            image_tests_configuration={"image_tests_enabled": True, "timeout_minutes": TEST_MINUTES},
            schedule=None if schedule is None else {"schedule_expression": schedule, "timezone": "UTC"},
            opts=self._own,
        ).arn
        self.register_outputs({"arn": self.arn})

    def _component(self) -> aws.imagebuilder.Component:
        document = component(self._args.topology)
        return aws.imagebuilder.Component(
            self._name,
            name=f"{self._args.topology.prefix}-packages",
            platform="Linux",
            version=version_of(document),
            data=document,
            opts=self._own,
        )

    def _recipe(self, installed: aws.imagebuilder.Component) -> aws.imagebuilder.ImageRecipe:
        topology = self._args.topology
        base = topology.settings.database.image_pipeline.base_image
        agent = user_data(topology)
        return aws.imagebuilder.ImageRecipe(
            self._name,
            name=topology.prefix,
            version=version_of(component(topology), str(base), agent),
            parent_image=base,
            components=[{"component_arn": installed.arn}],
            # Installs the SSM agent: Image Builder's own user data does not document support for Debian.
            user_data_base64=base64.b64encode(agent.encode()).decode(),
            systems_manager_agent={"uninstall_after_build": False},
            block_device_mappings=[
                {
                    "device_name": ROOT_DEVICE,
                    "ebs": {
                        "volume_type": "gp3",
                        "volume_size": ROOT_VOLUME_GIB,  # a machine's root volume must not be smaller than its image
                        "encrypted": "true",
                        "kms_key_id": self._args.key_arn,
                        "delete_on_termination": "true",
                    },
                }
            ],
            opts=self._own,
        )

    def _infrastructure(
        self, installed: aws.imagebuilder.Component, logs: aws.cloudwatch.LogGroup
    ) -> aws.imagebuilder.InfrastructureConfiguration:
        topology, network = self._args.topology, self._args.network
        return aws.imagebuilder.InfrastructureConfiguration(
            self._name,
            name=topology.prefix,
            instance_types=[topology.settings.database.image_pipeline.instance_type],
            instance_profile_name=self._profile(installed, logs),
            subnet_id=network.subnet_ids[topology.zones[0].name],
            security_group_ids=[self._security_group()],
            instance_metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 1},
            terminate_instance_on_failure=True,
            resource_tags=self._tags,  # not the tag Platform, by which the maintenance window finds machines
            opts=self._own,
        )

    def _distribution(self) -> aws.imagebuilder.DistributionConfiguration:
        topology = self._args.topology
        return aws.imagebuilder.DistributionConfiguration(
            self._name,
            name=topology.prefix,
            distributions=[
                {
                    "region": topology.settings.database.region,
                    "ami_distribution_configuration": {
                        "name": f"{topology.prefix}-{{{{ imagebuilder:buildDate }}}}",
                        "kms_key_id": self._args.key_arn,
                        "ami_tags": self._tags,
                    },
                }
            ],
            opts=self._own,
        )

    def _security_group(self) -> Output[str]:
        label = f"{self._name}-builder"
        group = aws.ec2.SecurityGroup(
            label,
            vpc_id=self._args.network.vpc_id,
            description="The machine that builds images; admits nothing",
            tags=self._tags,
            opts=self._own,
        )
        for rule, port in {"https": 443, "debian": 80}.items():  # Debian mirrors use plain HTTP: packages are signed
            aws.vpc.SecurityGroupEgressRule(
                f"{label}-{rule}",
                security_group_id=group.id,
                cidr_ipv4="0.0.0.0/0",
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
                description=f"builder to {rule}",
                opts=self._own,
            )
        aws.vpc.SecurityGroupIngressRule(
            f"{label}-to-endpoints",
            security_group_id=self._args.network.endpoint_group_id,
            referenced_security_group_id=group.id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description="builder to the interface endpoints",
            opts=self._own,
        )
        return group.id

    def _profile(self, installed: aws.imagebuilder.Component, logs: aws.cloudwatch.LogGroup) -> Output[str]:
        """Declare the builder's profile. AWS's managed policy would also allow reading every component."""
        label, topology = f"{self._name}-builder", self._args.topology
        name = f"{topology.prefix}-image"
        role = aws.iam.Role(label, name=name, assume_role_policy=assumed_by("ec2.amazonaws.com"), opts=self._own)
        aws.iam.RolePolicyAttachment(
            label,
            role=role.name,
            policy_arn=f"arn:{topology.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore",
            opts=self._own,
        )
        permissions = Output.all(installed.arn, logs.arn).apply(
            lambda known: policy(
                {"Effect": "Allow", "Action": "imagebuilder:GetComponent", "Resource": known[0]},
                {
                    "Effect": "Allow",
                    "Action": "s3:GetObject",  # Image Builder's program that runs components
                    "Resource": f"arn:{topology.partition}:s3:::ec2imagebuilder*",
                },
                {
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": f"{known[1]}:*",
                },
            )
        )
        aws.iam.RolePolicy(label, role=role.name, policy=permissions, opts=self._own)
        return aws.iam.InstanceProfile(label, name=name, role=role.name, opts=self._own).name
