"""The copies of a live stack's backups: what a scenario asks of them, and how it loses them."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from drills.restore.listing import Json, list_copies
from drills.sites.buckets import Bucket, bucket_of, manifest_in

if TYPE_CHECKING:
    from drills.running.stage import Stage

LISTING_PAUSE = 10.0  # listing a copy takes the machines processor time

# Deletes every object, one after the other, with the keys in a machine's memory, and prints what it could delete.
DELETE = """
import configparser, json, sys
sys.path.insert(0, "/usr/local/lib/backbuild")
from manifest import SECRETS, CONFIGURATION, Store
from botocore.exceptions import ClientError
settings = configparser.ConfigParser(interpolation=None)
settings.read_string(CONFIGURATION.read_text())
place = [settings["global"][f"repo1-s3-{part}"] for part in ("bucket", "endpoint", "region")]
store, deleted = Store(*place, json.loads((SECRETS / "backup-storage").read_text())), []
for key in [one["Key"] for one in store.objects("")]:
    try:
        store._client.delete_object(Bucket=place[0], Key=key)
        deleted.append(key)
    except ClientError:
        pass
print(json.dumps(deleted))
"""


class Copies:
    """The copies of one stack's backups. Every question but `delete_as_machine` needs the sandbox's object storage."""

    def __init__(self, stage: Stage) -> None:
        self._stage: Stage = stage

    def bucket(self, copy: str) -> Bucket:
        """Return the bucket of a copy."""
        return bucket_of(self._stage.topology, self._stage.site().place, copy)

    def lose(self, copy: str, below: str = "") -> None:
        """Lose every object of a copy, or only those whose keys begin with a text."""
        bucket = self.bucket(copy)
        keys = bucket.objects(below)
        self._stage.fault(f"every object of {copy}{f' below {below}' if below else ''} lost: {len(keys)}")
        bucket.remove(*keys)

    def delete_as_machine(self, group: str) -> set[str]:
        """Delete the primary's objects with a machine's own keys; return the keys that were deleted."""
        stage = self._stage
        return set(json.loads(stage.machines().run(stage.leader(group), shlex.join(["python3", "-c", DELETE]), 600)))

    def await_backups(self, copy: str, seconds: float = 600) -> None:
        """Wait until every group has a backup in a copy that a restore could begin with."""
        what = f"{copy} has a backup of every group"
        self._stage.until(what, lambda: self._has_backups(copy), seconds, LISTING_PAUSE)

    def is_restorable(self, copy: str) -> bool:
        """Return whether a copy has every object that its manifests list, and a backup of every group."""
        return self._has_backups(copy) and not self._missing(copy)

    def runs_of(self, copy: str, kept_as: str) -> dict[str, set[str]]:
        """Return the runs of each group that a copy keeps in a class such as daily."""
        return {
            one["group"]: {run["run"] for run in one["runs"] if kept_as in run["classes"]} for one in self._listed(copy)
        }

    def _has_backups(self, copy: str) -> bool:
        return all(one["runs"] and not one["problem"] for one in self._listed(copy))

    def _missing(self, copy: str) -> set[str]:
        """Return the keys below hourly/ that the manifests in the replica list, and a copy does not have."""
        stored, listed = set(self.bucket(copy).objects()), set[str]()
        bucket = self.bucket("replica")
        for key in bucket.objects("manifests/"):
            if key.endswith(".json"):
                listed |= {one["key"] for one in manifest_in(bucket.read(key))["objects"]}
        return listed - stored

    def _listed(self, copy: str) -> list[Json]:
        """Return what each group finds in a copy."""
        return list_copies(self._stage.topology, self._stage.machines(), [copy])[copy]
