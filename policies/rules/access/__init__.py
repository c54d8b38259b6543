"""Retention: copies are encrypted and private, and credentials that write them cannot remove them."""
