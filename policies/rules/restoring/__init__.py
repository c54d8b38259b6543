"""Retention: machines can restore from every copy, read the keys for it only then, and rehearse it every month."""
