"""Redundancy: failures raise alarms, which reach operators through two channels."""
