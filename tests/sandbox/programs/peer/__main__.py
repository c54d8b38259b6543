"""A little of everything: components, both clouds, secrets, an explicit provider, protection, dependencies."""

import pulumi
import pulumi_aws as aws
import pulumi_random as random


class Group(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("peer:index:Group", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(f"{name}-key", description="peer", deletion_window_in_days=10, opts=child)
        self.bucket = aws.s3.Bucket(
            f"{name}-bucket",
            tags={"kind": pulumi.Config().get("kind") or "peer"},
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.password = random.RandomPassword(f"{name}-password", length=20, opts=child)
        secret = aws.secretsmanager.Secret(f"{name}-secret", kms_key_id=key.arn, opts=child)
        aws.secretsmanager.SecretVersion(
            f"{name}-version", secret_id=secret.id, secret_string=self.password.result, opts=child
        )
        self.register_outputs({"bucket": self.bucket.arn})


group = Group("group")
west = aws.Provider("west", region="eu-west-1")
far = pulumi.ResourceOptions(provider=west, depends_on=[group], ignore_changes=["tags"])
aws.s3.Bucket("far", opts=far)
pulumi.export("arn", group.bucket.arn)
pulumi.export("password", group.password.result)
