"""The names Pulumi gives to resources: `urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`, and references to providers."""

from __future__ import annotations

from typing import Final, NamedTuple

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"


class Urn(NamedTuple):
    """A URN taken apart; `types` is the chain of types from the outermost component to the resource's own."""

    stack: str
    project: str
    types: str
    name: str

    @property
    def type(self) -> str:
        """The resource's own type token."""
        return self.types.rpartition("$")[2]


def parse(urn: str) -> Urn:
    """Take a URN apart; a malformed one is a `ValueError` that quotes it."""
    parts = urn.split("::", 3)
    if len(parts) != 4 or not urn.startswith("urn:pulumi:") or not all(parts):
        raise ValueError(f"{urn!r} is not a URN; the form is urn:pulumi:STACK::PROJECT::TYPE::NAME")
    return Urn(parts[0].removeprefix("urn:pulumi:"), *parts[1:])


def make(stack: str, project: str, parent: str, type: str, name: str) -> str:
    """The URN of a resource; its parent's chain of types is part of it, save for the stack itself."""
    chain = ""
    if parent:
        parent_types = parse(parent).types
        chain = "" if parent_types == STACK_TYPE else parent_types + "$"
    return f"urn:pulumi:{stack}::{project}::{chain}{type}::{name}"


def is_provider(type: str) -> bool:
    """Whether a type token is that of a provider (`pulumi:providers:aws`)."""
    return type.startswith(PROVIDER_PREFIX)


def is_default_provider(urn: str) -> bool:
    """Whether a URN is that of a provider the engine made itself."""
    _, _, types, name = urn.split("::", 3)
    return is_provider(types) and name.startswith("default")


def split_reference(reference: str) -> tuple[str, str]:
    """A provider reference `URN::ID` as its URN and id."""
    urn, _, id = reference.rpartition("::")
    return urn, id


def package_of(type: str) -> str:
    """The package a type or function token belongs to (`aws:s3/bucket:Bucket` -> `aws`)."""
    return type.removeprefix(PROVIDER_PREFIX).partition(":")[0]
