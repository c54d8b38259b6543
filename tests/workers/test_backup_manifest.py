"""Tests of reading manifests: signed ones are accepted, all others are rejected with a reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backup_manifests import KEY, PASSWORD, RUN, Reader, manifest_of, object_of, sealed
from harness.workerd import WORKERS

SCHEMA = json.loads((Path(WORKERS).parent / "docs/schemas/backup-manifest.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def refused(reader: Reader, *envelopes: bytes, **options: Any) -> set[str]:
    """Return the reasons for which the envelopes are rejected; fail if one is accepted."""
    answers = reader.read(*envelopes, **options)
    assert {answer.get("name") for answer in answers} == {"InvalidManifest"}, answers
    return {answer["reason"] for answer in answers}


FULL = manifest_of(
    run=RUN[:16],
    kind="full",
    previous=None,
    dependsOn=[],
    objects=[object_of(f"hourly/backup/worker-1/{RUN[:16]}/pg_data/a b+%2e ü\U0001f600.zst")],
)


def test_signed_manifest_is_read_unchanged(reader: Reader) -> None:
    assert reader.read(sealed(manifest_of())) == [{"manifest": manifest_of()}]
    assert reader.read(sealed(FULL), key=f"manifests/worker-1/{RUN[:16]}.json") == [{"manifest": FULL}]
    for manifest in (manifest_of(), FULL):
        VALIDATOR.validate(manifest)


def test_any_configured_key_is_accepted_and_no_other(reader: Reader) -> None:
    assert reader.read(sealed(manifest_of(), "old"), keys=("new", "old")) == [{"manifest": manifest_of()}]
    assert refused(reader, sealed(manifest_of(), "stranger")) == {"key"}
    assert refused(reader, sealed(manifest_of()), keys=()) == {"key"}


def test_manifest_with_another_key_than_its_run_is_rejected(reader: Reader) -> None:
    for key in (KEY.replace("worker-1", "worker-2"), f"manifests/worker-1/{RUN[:16]}.json", f"/{KEY}", RUN):
        assert refused(reader, sealed(manifest_of()), key=key) == {"place"}


def test_any_flipped_bit_is_rejected(reader: Reader) -> None:
    """Flip each bit of the envelope."""
    envelope = sealed(manifest_of())
    changed = [
        envelope[:place] + bytes([envelope[place] ^ 1 << bit]) + envelope[place + 1 :]
        for place in range(len(envelope))
        for bit in range(8)
    ]
    assert refused(reader, *changed) == {"envelope", "key", "signature"}


@given(st.data())
@settings(max_examples=50)
def test_any_replaced_part_is_rejected(reader: Reader, data: st.DataObject) -> None:
    envelope = sealed(manifest_of())
    begin = data.draw(st.integers(0, len(envelope)))
    end = data.draw(st.integers(begin, len(envelope)))
    piece = data.draw(st.binary(max_size=20).filter(lambda piece: piece.strip() != envelope[begin:end].strip()))
    outside = begin == len(envelope) or end == 0
    if not (outside and piece.strip() == b""):  # white space around the JSON text does not change its meaning
        assert refused(reader, envelope[:begin] + piece + envelope[end:]) <= {"envelope", "key", "signature"}


def with_fields(**changes: Any) -> bytes:
    return json.dumps({**json.loads(sealed(manifest_of())), **changes}).encode()


ENVELOPE = json.loads(sealed(manifest_of()))
SIGNATURE = ENVELOPE["signatures"][0]
ENVELOPES = {
    "nothing": b"",
    "not UTF-8": b'{"payload": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf" + sealed(manifest_of()),
    "null": b"null",
    "a list": b"[]",
    "the payload alone": json.dumps(manifest_of()).encode(),
    "another type": with_fields(payloadType="application/json"),
    "a field more": with_fields(more=1),
    "no signature": with_fields(signatures=[]),
    "two signatures": with_fields(signatures=[SIGNATURE, SIGNATURE]),
    "a signature that is a text": with_fields(signatures=[SIGNATURE["sig"]]),
    "signatures that are an object": with_fields(signatures={"0": SIGNATURE, "length": 1}),
    "a number as the key's id": with_fields(signatures=[{**SIGNATURE, "keyid": 1}]),
    "base64 with white space": with_fields(payload=ENVELOPE["payload"][:4] + "\n" + ENVELOPE["payload"][4:]),
    "base64 of other alphabets": with_fields(signatures=[{**SIGNATURE, "sig": "-_" * 44}]),
    "base64 without its end": with_fields(signatures=[{**SIGNATURE, "sig": SIGNATURE["sig"].rstrip("=")}]),
}


@pytest.mark.parametrize("what", ENVELOPES)
def test_malformed_envelopes_are_rejected(reader: Reader, what: str) -> None:
    assert refused(reader, ENVELOPES[what]) == {"envelope"}


@pytest.mark.parametrize("size", [0, 63, 65])
def test_signatures_of_other_lengths_are_rejected(reader: Reader, size: int) -> None:
    signature = {**SIGNATURE, "sig": base64.b64encode(bytes(size)).decode()}
    assert refused(reader, with_fields(signatures=[signature])) == {"signature"}


def test_other_versions_are_rejected(reader: Reader) -> None:
    for version in (0, 2, "1", None):
        assert refused(reader, sealed(manifest_of(version=version))) == {"version"}
    assert refused(reader, sealed({"version": 2, "unlike": "this one"})) == {"version"}


BACKUP = f"hourly/backup/worker-1/{RUN}"
KEYS = {
    "a way up": f"{BACKUP}/../x",
    "a way up at the end": f"{BACKUP}/..",
    "here": f"{BACKUP}/./x",
    "two slashes": f"{BACKUP}//x",
    "a slash first": f"/{BACKUP}/x",
    "a slash last": f"{BACKUP}/x/",
    "a control character": f"{BACKUP}/a\nb",
    "another control character": f"{BACKUP}/a\x9fb",
    "no text": 7,
    "too long": f"{BACKUP}/{'x' * 1024}",
    "too long in UTF-8": f"{BACKUP}/{'ü' * 500}",
    "half a character": f"{BACKUP}/\ud800",
    "another class": f"daily/backup/worker-1/{RUN}/x",
    "no class": "x",
    "nothing": "",
    "another group": f"hourly/backup/worker-2/{RUN}/x",
    "a group that begins alike": f"hourly/backup/worker-11/{RUN}/x",
    "another kind's place": "hourly/archive/worker-1/x",
    "another run's index": "manifests/worker-1/20261124-013005F/backup.info",
    "the place alone": "hourly/backup/worker-1/",
}
OBJECTS: dict[str, Any] = {
    "one field less": {"key": f"{BACKUP}/x"},
    "one field more": object_of(more=1),
    "null": None,
    "a list": [],
    **{f"key: {what}": object_of(key) for what, key in KEYS.items()},
    **{f"size {size}": object_of(size=size) for size in (-1, 1.5, "5", None, 5 * 2**40 + 1, 1e300, True)},
    **{f"sha256 {hash}": object_of(sha256=hash) for hash in ("", "ab" * 31, "AB" * 32, "xy" * 32, "ab" * 32 + "\n", 0)},
    **{f"kind {kind}": object_of(kind=kind) for kind in ("full", "", None, "toString", "__proto__")},
}
SEGMENT = "0000000100000000000000FF"


def point(name: Any = "backbuild-20261124T023000Z", **segments: Any) -> dict[str, Any]:
    """Return a restore point with the segments of groups; by default, of the coordinator and a worker group."""
    return {"name": name, "segments": segments or {"coordinator": SEGMENT, "worker-1": SEGMENT}}


POINTS: dict[str, Any] = {
    "null": None,
    "an object": {},
    "a text": "x",
    "a null in it": [None],
    "a field less": [{"name": point()["name"]}],
    "a field more": [{**point(), "at": "2026-11-24T02:30:00Z"}],
    "the same name twice": [point(), point()],
    "in another order": [point("backbuild-20261124T023030Z"), point()],
    **{
        f"name {name}": [point(name)]
        for name in ("", "before-upgrade", "backbuild-20261124T023000", "backbuild-20261324T023000Z", None, 1)
    },
    "no segment": [{**point(), "segments": {}}],
    "a list of segments": [{**point(), "segments": [SEGMENT]}],
    **{f"segment {value}": [point(coordinator=value)] for value in ("", SEGMENT[1:], SEGMENT.lower(), None, 1)},
    **{f"group {name}": [point(**{name: SEGMENT})] for name in ("..", "a/b", "A", "x" * 64)},
}
TIMES = (
    "",
    "2026-11-24",
    "2026-11-24T02:30:05",
    "2026-11-24T02:30:05+00:00",
    "2026-13-24T02:30:05Z",
    "2026-02-30T02:30:05Z",
    "2026-11-24T24:00:00Z",
    "2026-11-24T02:60:05Z",
    "2026-11-24T02:30:05Z\n",
    0,
    None,
)
CONTENTS: dict[str, Any] = {
    "null": None,
    "a list": [],
    "a field less": {key: value for key, value in manifest_of().items() if key != "wal"},
    "a field more": manifest_of(more=1),
    **{f"object: {what}": manifest_of(objects=[one]) for what, one in OBJECTS.items()},
    **{f"objects {objects}": manifest_of(objects=objects) for objects in ([], {}, None, "x")},
    "a key twice": manifest_of(objects=[object_of(), object_of(size=6)]),
    **{f"group {group}": manifest_of(group=group) for group in ("", "..", "a/b", "A", "a_b", "x" * 64, None, 1)},
    **{
        f"run {run}": manifest_of(run=run)
        for run in ("", "..", RUN[:-1], RUN + "\n", RUN + "/x", "20261124-013005I", f"../{RUN}", None)
    },
    **{f"kind {kind}": manifest_of(kind=kind) for kind in ("full", "differential", None)},
    **{f"{field} {time}": manifest_of(**{field: time}) for time in TIMES for field in ("startedAt", "finishedAt")},
    **{f"storedAt {time}": manifest_of(objects=[object_of(storedAt=time)]) for time in TIMES},
    "it ends before it begins": manifest_of(finishedAt="2026-11-24T02:30:04Z"),
    "no full one that it needs": manifest_of(dependsOn=[]),
    "another full one first": manifest_of(dependsOn=["20261123-013005F"]),
    "itself": manifest_of(dependsOn=[RUN[:16], RUN]),
    "one twice": manifest_of(dependsOn=[RUN[:16], RUN[:16]]),
    "no list": manifest_of(dependsOn=RUN[:16]),
    "a full one that needs another": manifest_of(run=RUN[:16], kind="full", dependsOn=["20261123-013005F"]),
    **{
        f"previous {previous}": manifest_of(previous=previous)
        for previous in (
            RUN[:16],
            {},
            {"run": RUN[:16]},
            {"run": RUN[:16], "sha256": "x"},
            {"run": RUN, "sha256": "cd" * 32},
            {"run": "..", "sha256": "cd" * 32},
            {"run": "20261124-030005F", "sha256": "cd" * 32},
        )
    },
    **{
        f"wal {wal}": manifest_of(wal=wal)
        for wal in (
            None,
            {"first": "0" * 24},
            {"first": "0" * 24, "last": "x"},
            {"first": "F" * 24, "last": "F" * 23 + "E"},
            {"first": "00000001" + "0" * 16, "last": "00000002" + "0" * 16},
        )
    },
    **{f"points: {what}": manifest_of(points=points) for what, points in POINTS.items()},
}


@pytest.mark.parametrize(
    "points",
    [[], [point()], [point("backbuild-20261124T023000Z", coordinator=SEGMENT), point("backbuild-20261124T023030Z")]],
)
def test_restore_points_are_read(reader: Reader, points: list[Any]) -> None:
    manifest = manifest_of(points=points)
    assert reader.read(sealed(manifest)) == [{"manifest": manifest}]
    VALIDATOR.validate(manifest)


@pytest.mark.parametrize("what", CONTENTS)
def test_signed_manifests_with_wrong_content_are_rejected(reader: Reader, what: str) -> None:
    assert refused(reader, sealed(CONTENTS[what]), key=KEY) == {"content"}


BEYOND_A_SCHEMA = {
    "a key twice",
    "it ends before it begins",
    "no full one that it needs",
    "another full one first",
    "itself",
    "a full one that needs another",
    "kind full",
    *(
        what
        for what in CONTENTS
        if what.startswith(("previous {'run': '2", "wal {'first': 'F", "wal {'first': '00000001"))
    ),
    *(f"points: {what}" for what in ("the same name twice", "in another order", "name backbuild-20261324T023000Z")),
    *(what for what in CONTENTS if what.endswith("\n")),  # in Python, `$` also matches before a final newline
    *(
        f"object: key: {what}"
        for what in (
            "another group",
            "a group that begins alike",
            "another kind's place",
            "another run's index",
            "half a character",
            "too long in UTF-8",
        )
    ),
}


def test_json_schema_rejects_the_same_contents() -> None:
    taken = {what for what, manifest in CONTENTS.items() if VALIDATOR.is_valid(manifest)}
    dates = {what for what in taken if "edAt 2026" in what}  # a schema does not check that a date exists
    assert taken - dates <= BEYOND_A_SCHEMA


def test_manifest_over_the_size_limit_is_rejected(reader: Reader) -> None:
    objects = [object_of(f"{BACKUP}/{number:06}") for number in range(100_000)]
    assert refused(reader, sealed(manifest_of(objects=objects))) == {"envelope"}
    assert "manifest" in reader.read(sealed(manifest_of(objects=objects[:50_000])))[0]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
@settings(max_examples=100)
def test_any_signed_value_is_read_or_rejected_with_a_reason(reader: Reader, value: Any) -> None:
    fields = [*manifest_of()]
    changed = [sealed(manifest_of(**{field: value})) for field in fields if manifest_of()[field] != value]
    refused_or_read = reader.read(sealed(value), *changed)
    assert {answer.get("name", "read") for answer in refused_or_read} <= {"InvalidManifest", "read"}
    assert "manifest" not in refused_or_read[0]


def test_errors_do_not_quote_the_manifest(reader: Reader) -> None:
    (answer,) = reader.read(sealed(manifest_of(group="../secret")))
    assert answer["message"] == "the manifest does not match docs/backup-manifest.md: group"
    assert PASSWORD not in str(reader.read(b"{"))
