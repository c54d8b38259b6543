"""What a machine boots with: topology to files to cloud-init user data. Pure; imports nothing of Pulumi."""
