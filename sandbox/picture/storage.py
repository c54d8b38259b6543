"""Buckets, the queues that they notify of new objects, and the Cloudflare Workers that copy them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sandbox.engine.state import Resource
from sandbox.picture.diagram import Box, Edge, Storage
from sandbox.picture.index import Index, name, text
from sandbox.picture.workers import worker_of

R2: Final = "cloudflare:index/r2Bucket:R2Bucket"
S3: Final = "aws:s3/bucket:Bucket"
OBJECT: Final = "aws:s3/bucketObjectv2:BucketObjectv2"
QUEUE: Final = "cloudflare:index/queue:Queue"
CONSUMER: Final = "cloudflare:index/queueConsumer:QueueConsumer"
EVENTS: Final = "cloudflare:index/r2BucketEventNotification:R2BucketEventNotification"
# Bucket settings that protect or delete objects: the property that refers to the bucket, and the label.
PROTECTIONS: Final = {
    "cloudflare:index/r2BucketLock:R2BucketLock": ("bucketName", "locked"),
    "cloudflare:index/r2BucketLifecycle:R2BucketLifecycle": ("bucketName", "rotated"),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": ("bucket", "locked"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ("bucket", "rotated"),
}


def read(index: Index, workers: Iterable[Box], edges: Iterable[Edge]) -> Storage:
    """Return buckets, queues, and the `workers` behind them, grouped by `edges`."""
    links = list(edges)
    notifying = {edge.source for edge in flow(index)}
    consumers = {edge.target for edge in flow(index)}
    # A bucket whose objects the program itself declares holds files of machines and not data.
    declared = {text(one, "bucket") for one in index.of(OBJECT)}
    kept = [*index.of(R2), *(one for one in index.of(S3) if text(one, "bucket") not in declared)]
    buckets = [_bucket(index, one) for one in kept]
    behind = list(workers)
    return Storage(
        sources=tuple(box for box in buckets if box.key in notifying),
        queues=tuple(_queue(index, one) for one in index.of(QUEUE) if one.urn not in _dead_letter_queues(index)),
        carriers=tuple(box for box in behind if box.key in consumers),
        copies=tuple(box for box in buckets if box.key not in notifying),
        scheduled=tuple(merge_similar([box for box in behind if box.key not in consumers], links)),
    )


def flow(index: Index) -> Iterator[Edge]:
    """Yield edges from a bucket to its event queue, and from a queue to the Worker that consumes it."""
    for events in index.of(EVENTS):
        for bucket in index.named(events, "bucketName"):
            for queue in index.named(events, "queueId"):
                yield Edge(bucket.urn, queue.urn, "each new object")
    for consumer in index.of(CONSUMER):
        for queue in index.named(consumer, "queueId"):
            worker = worker_of(index, consumer)
            if worker is not None:
                yield Edge(queue.urn, worker.urn, "batches")


def merge_similar(boxes: list[Box], edges: list[Edge]) -> Iterator[Box]:
    """Merge each box into the one whose edges include all of its edges; the merged box lists them all."""
    links = {box.key: {(edge.target, edge.label) for edge in edges if edge.source == box.key} for box in boxes}
    alike: dict[str, list[Box]] = {}
    for box in boxes:
        most = max(
            (other.key for other in boxes if links[box.key] <= links[other.key]), key=lambda key: len(links[key])
        )
        alike.setdefault(most, []).append(box)
    for key, same in alike.items():
        if len(same) == 1:
            yield same[0]
        else:
            lines = tuple(" · ".join([box.title, *box.lines[:1]]) for box in same)
            yield Box(key, f"{len(same)} Workers", _common_prefix([box.title for box in same]), lines)


def _common_prefix(titles: list[str]) -> str:
    """Return the common first part of several names, up to a dash."""
    heads = {title.partition("-")[0] for title in titles}
    return heads.pop() if len(heads) == 1 else "several"


def _bucket(index: Index, bucket: Resource) -> Box:
    r2 = bucket.type == R2
    place = f"jurisdiction {text(bucket, 'jurisdiction') or 'default'}" if r2 else index.region(bucket)
    protections: Mapping[str, None] = {
        label: None
        for type, (property, label) in PROTECTIONS.items()
        for setting in index.of(type)
        if bucket in index.named(setting, property)
    }
    return Box(
        bucket.urn, f"{'R2' if r2 else 'S3'} bucket", name(bucket), tuple(filter(None, [place, ", ".join(protections)]))
    )


def _queue(index: Index, queue: Resource) -> Box:
    dead = [
        f"failures to {name(letters)}"
        for consumer in index.of(CONSUMER)
        if queue in index.named(consumer, "queueId")
        for letters in index.named(consumer, "deadLetterQueue")
    ]
    return Box(queue.urn, "Queue", name(queue), tuple(dead))


def _dead_letter_queues(index: Index) -> set[str]:
    return {letters.urn for consumer in index.of(CONSUMER) for letters in index.named(consumer, "deadLetterQueue")}
