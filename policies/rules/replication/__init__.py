"""Redundancy: replication and failover as the machines' files configure them."""
