"""What rules look at: resources brought together as the things they are (machines, buckets, Workers, domains)."""
