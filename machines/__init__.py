"""Render the files and the cloud-init user data of each machine from the topology.

Pure functions: this package may import `model`, and does not import Pulumi. `files.py` renders the templates,
`archive.py` packs them, and `user_data.py` renders the cloud-config that fetches the archive.
To add a file to a machine, add its template below `templates/` in the set of its role, at the path that it has on the
machine. Test with `pytest tests/machines`, which has a snapshot of every file and runs the real programs on them.
"""
