"""Break the live machines of a stack in random ways while clients write, and measure: docs/failover.md.

`faults.py` decides what to break and `checks.py` judges the recorded commits: both are pure. `writers.py` writes and
records, `fleet.py` acts on the machines, `drill.py` plays one fault after another, and `report.py` prints.
"""
