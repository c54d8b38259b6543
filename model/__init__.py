"""The platform's model: settings, topology, rotation, ports, health gates and metric names.

Pure functions and frozen types. This package imports neither other packages of the project nor Pulumi.
To add a setting, edit `settings.py`; checks between settings are in `configuration.py`; the derived values are in
`topology.py`. Test with `pytest tests/model`.
"""
