"""Parse and build URNs (`urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME`) and provider references (`URN::ID`)."""

from __future__ import annotations

from typing import Final, NamedTuple

STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"


class Urn(NamedTuple):
    """A parsed URN; `types` is the chain of types from the outermost component to the resource's own."""

    stack: str
    project: str
    types: str
    name: str

    @property
    def type(self) -> str:
        """The resource's own type token."""
        return self.types.rpartition("$")[2]


def parse(urn: str) -> Urn:
    """Parse a URN; raise a `ValueError` that quotes it if it is malformed."""
    parts = urn.split("::", 3)
    if len(parts) != 4 or not urn.startswith("urn:pulumi:") or not all(parts):
        raise ValueError(f"{urn!r} is not a URN; the form is urn:pulumi:STACK::PROJECT::TYPE::NAME")
    return Urn(parts[0].removeprefix("urn:pulumi:"), *parts[1:])


def make(stack: str, project: str, parent: str, type: str, name: str) -> str:
    """Return the URN of a resource. It includes the parent's chain of types, unless the parent is the stack."""
    chain = ""
    if parent:
        parent_types = parse(parent).types
        chain = "" if parent_types == STACK_TYPE else parent_types + "$"
    return f"urn:pulumi:{stack}::{project}::{chain}{type}::{name}"


def is_provider(type: str) -> bool:
    """Whether a type token is a provider's (`pulumi:providers:aws`)."""
    return type.startswith(PROVIDER_PREFIX)


def is_default_provider(urn: str) -> bool:
    """Whether a URN is that of a default provider, which the engine creates."""
    _, _, types, name = urn.split("::", 3)
    return is_provider(types) and name.startswith("default")


def split_reference(reference: str) -> tuple[str, str]:
    """Split a provider reference `URN::ID` into URN and id."""
    urn, _, id = reference.rpartition("::")
    return urn, id


def package_of(type: str) -> str:
    """Return the package of a type or function token (`aws:s3/bucket:Bucket` -> `aws`)."""
    return type.removeprefix(PROVIDER_PREFIX).partition(":")[0]
