"""Rules on how machines boot, and the weakenings that each must notice."""
