"""Retention: copies are encrypted and open to nobody, and whoever writes them cannot take them away."""
