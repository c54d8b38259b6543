"""Damage backups of a live stack: restores must refuse them, and the backup Workers must find and repair them.

`damages.py` has the kinds of damage, `audit.py` fetches as a restore does, `repairs.py` waits for the Workers.
"""
