"""The instances of the simulated cloud as Debian machines: `python -m sandbox up --live`.

A machine is a systemd-nspawn container with the instance's user data, address and volumes, in a network namespace.
Everything that only a cloud has is a stand-in: the services in `services/` and the files in `image/`. docs/sandbox.md
lists them. Nothing here names this project's machines, except `view.py` and `watch.py`, which show what their services
say: what a machine does comes from its user data.

Start reading in `live.py`, which follows what the engine creates and deletes.
"""
