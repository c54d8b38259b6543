"""Retention: backups are verified, watched, aged out, and now and then restored."""
