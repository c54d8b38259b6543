"""Retention: copies are far from the database and from each other, and replicated."""
