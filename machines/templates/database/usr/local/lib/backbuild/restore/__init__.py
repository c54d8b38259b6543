"""Restores this member's group from any copy: `backbuild-restore`. Start reading in `__main__.py`.

`copies` reads a copy, `catalogue` reads what its manifests list, `selection` decides what a restore needs,
`repository` fetches it, `points` finds restore points in WAL, `cluster` recovers PostgreSQL in isolation, `group` shuts
and opens the group. `state` keeps a restore's progress on the data volume, so that an interrupted restore continues.
"""
