"""Retention: backups as each database machine's files configure them."""
