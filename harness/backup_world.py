"""The backup Workers (Cloudflare Workers) together in workerd, a simulated machine, and a simulated clock."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.backup_manifests import PASSWORD, sealed
from harness.copies import BUCKETS, binding
from harness.offsite import Offsite
from harness.webhooks import ALARM_SECRET
from harness.workerd import Host
from model.signing import public_key

ROTATION = {
    "pointInTimeDays": 7,
    "minimumFulls": 3,
    "keepDays": {"hourly": 8, "daily": 35, "monthly": 403, "yearly": 2562},
}
START = datetime(2027, 1, 1, 1, 30, tzinfo=UTC)  # later than the real time of the machine that runs the tests
GROUP = "worker-1"
STORES = ("primary", "replica", "offsite")
SCRIPTS = ("replicate", "verify", "age-out")
TOKEN = "a-token-for-the-report"


def stamp(time: datetime) -> str:
    """Format a time as in manifests: ISO 8601 in whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Run:
    """A backup run: its manifest, and the bytes of every object that the manifest lists."""

    manifest: dict[str, Any]
    envelope: bytes
    objects: dict[str, bytes] = field(repr=False)

    @property
    def label(self) -> str:
        """Return pgBackRest's label of the run."""
        return self.manifest["run"]

    @property
    def key(self) -> str:
        """Return the key of the run's manifest."""
        return f"manifests/{self.manifest['group']}/{self.label}.json"

    @property
    def finished(self) -> datetime:
        """Return the time at which the run ended."""
        return datetime.fromisoformat(self.manifest["finishedAt"])


class Machine:
    """A simulated leader of a group: makes WAL, full and incremental runs, and their signed manifests."""

    def __init__(self, group: str = GROUP, seed: int = 0) -> None:
        self.group = group
        self.runs: list[Run] = []
        self.password = PASSWORD
        self._random = random.Random(seed)
        self.history = 1
        self.timeline = 1
        self.points = True
        self.late_wal = False
        """Whether the WAL up to a run's restore point is archived after the run, as on a real machine."""
        self._segment = 0
        self._wal: list[tuple[str, bytes, datetime]] = []  # archived since the last manifest

    def begin_anew(self) -> None:
        """Recreate the database: WAL starts at the first segment again, with a new history number."""
        self.history += 1
        self._segment = 0

    def promote(self, at: datetime) -> dict[str, bytes]:
        """Begin a new timeline, as a new leader or a restored group does. Return its history file, by key."""
        self.timeline += 1
        key = f"hourly/archive/{self.group}/17-{self.history}/{self.timeline:08X}.history"
        self._wal.append((key, b"history", at))
        return {key: b"history"}

    def segment(self, number: int) -> str:
        """Return the name of the WAL segment with this number."""
        return f"{self.timeline:08X}{number >> 8:08X}{number & 0xFF:08X}"

    def archive(self, at: datetime) -> dict[str, bytes]:
        """Archive one more WAL segment. Return the object, by key."""
        self._segment += 1
        name = self.segment(self._segment)
        key = f"hourly/archive/{self.group}/17-{self.history}/{name[:16]}/{name}-{self._random.randbytes(20).hex()}.zst"
        body = self._random.randbytes(self._random.randint(20, 200))
        self._wal.append((key, body, at))
        return {key: body}

    def point_segments(self) -> dict[str, str]:
        """Return the last WAL segment that a restore to a point made now needs."""
        return {self.group: self.segment(self._segment + self.late_wal)}

    def backup(self, at: datetime, kind: str, files: int = 2) -> Run:
        """Make one more run, which takes a minute, and archive the WAL that makes it consistent."""
        stamped = at.strftime("%Y%m%d-%H%M%S")
        fulls = [run.label for run in self.runs if run.manifest["kind"] == "full"]
        label = f"{stamped}F" if kind == "full" else f"{fulls[-1]}_{stamped}I"
        needed = {fulls[-1], self.runs[-1].label} if kind == "incremental" else set[str]()
        first, last = self.archive(at), self.archive(at + timedelta(seconds=50))
        finished = at + timedelta(minutes=1)
        folder = f"hourly/backup/{self.group}/{label}"
        names = [f"{folder}/bundle/{number + 1}" for number in range(files)] + [f"{folder}/backup.manifest"]
        backup = {name: self._random.randbytes(self._random.randint(20, 300)) for name in names}
        index = {
            f"manifests/{self.group}/{label}/{name}.info": f"{name} up to {label}".encode()
            for name in ("backup", "archive")
        }
        stored = [
            *((key, body, "backup", finished) for key, body in backup.items()),
            *((key, body, "wal", time) for key, body, time in self._wal),
            *((key, body, "index", finished) for key, body in index.items()),
        ]
        segments = [next(iter(one)).rpartition("/")[2][:24] for one in (first, last)]
        point = {
            "name": f"backbuild-{finished + timedelta(seconds=10):%Y%m%dT%H%M%SZ}",
            "segments": self.point_segments(),
        }
        previous = None
        if self.runs:
            newest = self.runs[-1]
            previous = {"run": newest.label, "sha256": hashlib.sha256(newest.envelope).hexdigest()}
        manifest = {
            "version": 1,
            "group": self.group,
            "run": label,
            "kind": kind,
            "startedAt": stamp(at),
            "finishedAt": stamp(finished),
            "previous": previous,
            "dependsOn": sorted(needed, key=lambda one: one[-16:]),
            "wal": {"first": segments[0], "last": segments[1]},
            "objects": [
                {
                    "key": key,
                    "size": len(body),
                    "sha256": hashlib.sha256(body).hexdigest(),
                    "kind": kind_,
                    "storedAt": stamp(time),
                }
                for key, body, kind_, time in sorted(stored)
            ],
            **({"points": [point]} if self.points else {}),
        }
        self._wal = []
        run = Run(manifest, sealed(manifest, self.password), {key: body for key, body, _, _ in stored})
        self.runs.append(run)
        return run


@dataclass(frozen=True)
class Snapshot:
    """What a world held at a time: the R2 buckets and the database, and the objects of other stores."""

    time: datetime
    stored: dict[str, Any] = field(repr=False)
    others: dict[str, Any] = field(repr=False)


class World:
    """The three stores, the backup Workers, and the simulated time."""

    def __init__(self, host: Host, offsite: Offsite, *, whole: bool = False, **bindings: Any) -> None:
        """Start the Workers with empty stores. `whole` adds the watch, report and API Workers."""
        self.host, self.offsite = host, offsite
        self.others: dict[str, Offsite] = {"offsite": offsite}  # the S3 copies, by name
        self.time = START
        self.lost_events: list[str] = []
        self.instruction: dict[str, Any] = {}
        offsite.empty()
        shared = {
            **offsite.options["bindings"],
            "ROTATION": ROTATION,
            "GROUPS": [GROUP],
            "MANIFEST_KEYS": [public_key(PASSWORD)],
            "SENDER": "backups@notify.example",
            "ALARM_EMAILS": ["ada@operator.example"],
            "ALARM_WEBHOOKS": json.dumps(["http://hook.example/"]),
            "ALARM_SECRET": ALARM_SECRET,
            "PLATFORM": "ledger-prod",
            "REPORT_URL": "https://backups.example/report.json",
            "TOKEN_SHA256": hashlib.sha256(TOKEN.encode()).hexdigest(),
            "STANZAS": [GROUP],
            "ENVIRONMENT": "staging",
            **bindings,
        }
        options = {
            "r2Buckets": BUCKETS,
            "d1Databases": {"DB": "backups"},
            "bindings": shared,
            "outboundService": offsite.options["outboundService"],
        }
        workers = {f"backups/{script}": options for script in SCRIPTS}
        if whole:
            asked = {
                "versionMetadata": "VERSION",
                "r2Buckets": {"BACKUPS": "primary"},
                "serviceBindings": {"BACKUP_REPORT": "report"},
            }
            mail = {"email": {"send_email": [{"name": "EMAIL"}]}}
            workers |= {"api": options | asked, "backups/report": options, "backups/watch": options | mail}
        host.start_all(workers)

    def save(self) -> Snapshot:
        """Return what all stores and the Workers' database hold."""
        others = {name: store.save() for name, store in self.others.items()}
        stored = self.host.ask("save", worker="verify", buckets=list(BUCKETS), databases=["DB"])
        return Snapshot(self.time, stored, others)

    def restore(self, saved: Snapshot) -> None:
        """Put into a new world what another one held."""
        self.time = saved.time
        self.host.ask("restore", worker="verify", saved=saved.stored)
        for name, objects in saved.others.items():
            self.others[name].restore(objects)

    def rebind(self, **bindings: Any) -> None:
        """Deploy the Workers in `SCRIPTS` again with changed bindings."""
        for script in SCRIPTS:
            self.host.ask("rebind", bindings=bindings, worker=script)

    # The content of the stores.

    def write(self, objects: dict[str, bytes], store: str = "primary") -> list[str]:
        """Write objects as a machine does. Return their keys, for the bucket's events."""
        if store in self.others:
            for key, body in objects.items():
                self.others[store].put(key, body)
        else:
            coded = {key: base64.b64encode(body).decode() for key, body in objects.items()}
            self.bulk("write", store, objects=coded, at=self.time.isoformat())
        return list(objects)

    def forget(self) -> None:
        """Empty the Workers' database, as if it was lost."""
        for table in (
            "objects",
            "object_copies",
            "copies",
            "manifests",
            "points",
            "promotions",
            "uploads",
            "upload_parts",
            "digests",
            "findings",
            "audit",
            "runs",
            "leases",
        ):
            self.sql(f"DELETE FROM {table}")

    def delete(self, store: str, key: str) -> None:
        """Delete an object from one store."""
        if store in self.others:
            self.others[store].delete(key)
        else:
            self.host.delete(binding(store), key)

    def read(self, store: str, key: str) -> bytes | None:
        """Return an object's bytes, or None if the store does not have it."""
        if store in self.others:
            return self.others[store].get(key)[0] if key in self.keys(store) else None
        found = self.bulk("read", store, key=key)
        return None if found is None else base64.b64decode(found)

    def digests(self, store: str) -> dict[str, str]:
        """Return the SHA-256 of every object's bytes, by key."""
        return self.others[store].digests() if store in self.others else self.bulk("digests", store)

    def keys(self, store: str) -> list[str]:
        """Return the keys of all objects, in order."""
        return self.others[store].keys() if store in self.others else sorted(self.bulk("keys", store))

    def bulk(self, operation: str, store: str = "primary", *, worker: str = "replicate", **parameters: Any) -> Any:
        """Run an operation of harness/buckets.js on a store's bucket."""
        return self.host.bulk(operation, binding(store), worker=worker, **parameters)

    # Time, events and schedules.

    def pass_by(self, **duration: float) -> None:
        """Let time pass. `duration` has the parameters of `timedelta`."""
        self.time += timedelta(**duration)

    def deliver(self, keys: list[str], **instruction: Any) -> list[str]:
        """Deliver events to the replicate Worker. Return the keys whose events it did not acknowledge."""
        again: list[str] = []
        for begin in range(0, len(keys), 10):
            batch = keys[begin : begin + 10]
            messages = [{"action": "PutObject", "object": {"key": key}} for key in batch]
            given = {"clock": self.time.isoformat(), **self.instruction, **instruction}
            result = self.host.ask("queue", messages=messages, worker="replicate", instruction=given)
            handled: list[str] = [] if result["outcome"] != "ok" or result["ackAll"] else result["explicitAcks"]
            again += [key for number, key in enumerate(batch) if str(number) not in handled]
        return again

    def cron(self, script: str, **instruction: Any) -> str:
        """Run a Worker's schedule, then deliver the events of the objects that it wrote. Return the outcome."""
        given = {"clock": self.time.isoformat(), **self.instruction, **instruction}
        outcome = self.host.ask("scheduled", time=self.time.isoformat(), worker=script, instruction=given)
        if written := self.bulk("events", worker=script):
            self.deliver(written, **instruction)
        return outcome

    def settle(self, rounds: int = 3) -> None:
        """Run the schedules of replicate and verify several times, twelve minutes apart."""
        for _ in range(rounds):
            self.pass_by(minutes=12)
            self.cron("replicate")
            self.cron("verify")

    # The Workers' database.

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Run a statement in the Workers' database."""
        return self.host.ask("sql", statement=statement, worker="verify")

    def findings(self, where: str = "1") -> list[dict[str, Any]]:
        """Return the findings for which an SQL condition holds."""
        return self.sql(f"SELECT * FROM findings WHERE {where} ORDER BY id")

    def last(self, script: str) -> tuple[str, dict[str, Any]]:
        """Return the outcome of a Worker's last run, and the details that it recorded."""
        row = self.sql(f"SELECT outcome, detail FROM runs WHERE worker = '{script}' ORDER BY at DESC LIMIT 1")[0]
        return row["outcome"], json.loads(row["detail"])
