"""Retention: copies apart from the database and from each other, replicated, and open to nobody."""
