"""Retention: what each database machine makes of backups, as its own files say."""
