"""The coverage table: who judges each property of each resource. See docs/policies.md."""
