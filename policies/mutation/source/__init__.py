"""Changes of the project's source: weakenings that the packs must stop, and variants that they must accept."""
