"""Coverage: the packs know what they do not judge."""
