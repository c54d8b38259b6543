"""Redundancy: how commits are replicated and who takes over, as the machines' own files say."""
