"""What the platform is: settings, topology, rotation, ports, health gates and metric names.

Pure functions and frozen types. This package imports no other package of the project and nothing of Pulumi.
To add a setting, edit `settings.py`; checks between settings are in `configuration.py`; what follows from them is in
`topology.py`. Test with `pytest tests/model`.
"""
