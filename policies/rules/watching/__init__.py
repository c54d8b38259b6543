"""Retention: backups are verified, watched, deleted in time, and restored as a test."""
