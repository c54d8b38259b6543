"""Compute the rights of each principal from policies of every kind.

A right is a text such as `secretsmanager:GetSecretValue on Secret access-patroni`: action, resource and condition, with
the names of the stack's resources in place of their ARNs.
"""
