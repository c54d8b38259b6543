"""The rules, by topic: each package has `rules.py`, and `weakenings.py` with the changes that its rules must notice.

Rules are pure functions over the graph (`policies/graph.py`), registered by `policies/rule.py`. `policies/packs.py`
imports every package of this folder, so a new one needs no registration.
"""
