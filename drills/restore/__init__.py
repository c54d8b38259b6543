"""Restore a stack's database: `python -m drills restore`. Each machine does its part with `backbuild-restore`.

`target` and `decisions` decide and are pure; `members` lets machines run steps; `course` is the order of the steps.
"""
