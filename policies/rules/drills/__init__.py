"""Retention: the drills that promises cite are kept and recent, and the status page shows the last restore."""
