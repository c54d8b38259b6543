"""Redundancy: packages are installed in the window, on one machine at a time, after a health check."""
