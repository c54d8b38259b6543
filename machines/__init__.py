"""What a machine boots with: topology to files to cloud-init user data.

Pure functions: this package may import `model`, and imports nothing of Pulumi. `files.py` renders the templates,
`user_data.py` packs them.
To add a file to a machine, add its template below `templates/` in the set of its role, at the path that it has on the
machine. Test with `pytest tests/machines`: snapshots of every file, and the real programs that read them.
"""
