"""Redundancy: machines authenticate each other with certificates, and encrypt what they send."""
