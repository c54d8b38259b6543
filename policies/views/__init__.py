"""Views of the graph: machines, buckets, Cloudflare Workers, domains and others, each from several resources."""
