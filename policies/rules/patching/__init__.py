"""Redundancy: packages are installed in the window, on one machine at a time, each behind its own health."""
