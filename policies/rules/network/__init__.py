"""Redundancy: ways in and out that no single zone can close."""
