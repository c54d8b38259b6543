"""`python -m status`: publish incidents and maintenance on the status page, and recompute its uptime figures.

This package may import `console`. `uptime.py` recomputes the uptime of a month without any code of the page.
To add a command, add its arguments to `cli.py` and a function to `commands.py`, and describe it in docs/status-page.md.
Test with `pytest tests/status`, which runs the commands against the status page's Cloudflare Worker in workerd.
"""
