"""The rules, by subject: pure functions over the graph (`policies/graph.py`), registered by `policies/rule.py`.

`policies/packs.py` imports every module of this folder, so that a new module needs no registration.
"""
