"""Contents that a person reviews: machines' files, scripts, policy documents, and resources beside the platform.

Values that follow from the settings are replaced by their names, such as `<platform>`, so that a review remains valid
if the settings change.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from policies.coverage.beside import expected, key_of
from policies.coverage.table import covering, table
from policies.coverage.walk import Missing, leaves, values_at
from policies.graph import Graph, Resource, Undetermined, Unknown, Value
from policies.views.machines import Machine, machines
from policies.views.placeholders import placeholders
from policies.views.shared import once

VERSION: Final = "cloudflare:index/workerVersion:WorkerVersion"
ARCHIVE: Final = re.compile(r"\b[0-9a-f]{64}\b")
REPEATED: Final = re.compile(r"""("?[^,\s"']*<[^<>\n]+>[^,\s"'<>]*"?)(?:[, \t]+\1)+""")
NUMBERS: Final = re.compile(r"-\d+(?=-|$)")
VERSIONS: Final = re.compile(r"_\d+(?:_\d+)*$")  # of a default provider
JUDGED: Final = ("LAST_RESTORE",)
"""Bindings whose value changes with each drill, so that a rule judges it and nobody reviews it."""
PUBLIC_KEY: Final = re.compile(r"[A-Za-z0-9+/]{43}=")  # 32 bytes in base64; each stack generates its own


@dataclass(frozen=True, eq=False)
class Content:
    """One content: the key of its review, the URN and label of its resource, and its text on each machine."""

    key: str
    urn: str
    label: str
    texts: tuple[str | Undetermined, ...]
    needs: tuple[str, ...] = ()
    """The labels of the resources that a document refers to."""

    @cached_property
    def text(self) -> str:
        """The different contents of all machines that share the key, each once. Raises `Undetermined`."""
        for one in self.texts:
            if isinstance(one, Undetermined):
                raise one.with_traceback(None)
        return "\n".join(sorted({str(one) for one in self.texts}))

    @property
    def waits(self) -> bool:
        """Whether it is known only after an update."""
        return any(isinstance(one, Undetermined) for one in self.texts)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the text. Raises `Undetermined`."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@once
def contents(graph: Graph) -> list[Content]:
    """Contents to review."""
    return [*_files(graph), *_scripts(graph), *_documents(graph), *_lists(graph), *_beside(graph)]


@dataclass(frozen=True)
class Normaliser:
    """Replaces the values that follow from a stack's settings by their names."""

    names: Mapping[str, str]
    pattern: re.Pattern[str]
    done: dict[str, str]
    """Results, because most files are the same on all machines."""

    def normal(self, text: str) -> str:
        """Return a text with names in place of values. Repeated list items and lines appear once."""
        if text not in self.done:
            named = REPEATED.sub(
                r"\1 and more", self.pattern.sub(lambda found: self.names.get(found[0], found[0]), text)
            )
            lines = named.splitlines()
            self.done[text] = "\n".join(
                line for index, line in enumerate(lines) if index == 0 or line != lines[index - 1]
            )
        return self.done[text]


@once
def _normaliser(graph: Graph) -> Normaliser:
    found: dict[str, str] = {}
    for machine in machines(graph):
        if machine.instance.known("privateIp"):
            found[machine.address] = f"<address of {machine.role}>"
        found[machine.name] = f"<{machine.role}>"
        if machine.group != machine.role:
            found[machine.group] = f"<group of {machine.role}>"
    settings = {value: f"<{name}>" for name, value in placeholders(graph).items()}
    words = [re.escape(value) for value in sorted(settings, key=len, reverse=True)]
    roles = "|".join(sorted({machine.role for machine in machines(graph)}))
    # General expressions for addresses and names: one alternative for each machine would be slow with many machines.
    words += [r"\d+\.\d+\.\d+\.\d+", rf"(?:{roles})(?:-\d+)+"]
    return Normaliser({**found, **settings}, re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)"), {})


def normal(graph: Graph, text: str) -> str:
    """Return a text with names in place of the values that follow from the settings."""
    return _normaliser(graph).normal(text)


def _files(graph: Graph) -> Iterator[Content]:
    """Return the files of the machines of each role, with their modes and owners."""
    by_role: dict[str, list[Machine]] = {}
    for machine in machines(graph):
        by_role.setdefault(machine.role, []).append(machine)
    for role, members in by_role.items():
        found = {machine.name: dict(_of(graph, machine)) for machine in members}
        first = min(members, key=lambda machine: machine.name)  # engines differ in the order of resources
        for path in dict.fromkeys(path for files in found.values() for path in files):
            texts = tuple(files.get(path, f"not on a {role}") for files in found.values())
            yield Content(f"{role} {path}".strip(), first.urn, f"{path or 'files'} of {first.label}", texts)


def _of(graph: Graph, machine: Machine) -> Iterator[tuple[str, str | Undetermined]]:
    try:
        yield "user data", ARCHIVE.sub("<archive>", _own(graph, machine, machine.instance.text("userData")))
        for path, text in machine.files.items():
            yield path, f"{machine.modes[path]}\n{_own(graph, machine, text)}"
    except Undetermined as unknown:
        yield "", unknown


def _own(graph: Graph, machine: Machine, text: str) -> str:
    """Return the normal form of a text in which the machine's own name and address stand out."""
    if machine.name not in text and machine.address not in text:
        return normal(graph, text)
    own = rf"(?<!\w)(?:({re.escape(machine.name)})|({re.escape(machine.address)}))(?![\w-])"
    return normal(graph, re.sub(own, lambda found: "<own name>" if found[1] else "<own address>", text))


def _scripts(graph: Graph) -> Iterator[Content]:
    """Return the modules of each Cloudflare Worker, and its bindings."""
    for version in graph.of(VERSION):
        for kind, read in (("script", _modules), ("bindings", _bindings)):
            key = f"{kind} {version.name}"
            yield Content(key, version.urn, f"{kind} of {version.label}", (_or_unknown(graph, version, read),))


def _or_unknown(graph: Graph, version: Resource, read: Callable[[Resource], str]) -> str | Undetermined:
    try:
        return normal(graph, read(version))
    except Undetermined as unknown:
        return unknown


def _modules(version: Resource) -> str:
    """Return the text of all modules."""
    texts = [
        f"=== {module.text('name')} ({module.text('contentType')})\n"
        + base64.b64decode(module.text("contentBase64")).decode(errors="replace")
        for module in version.items("modules")
    ]
    return "\n".join([f"main: {version.text('mainModule')}", *texts])


def _bindings(version: Resource) -> str:
    """Return the name and type of each binding that no rule judges, and the value of texts and documents."""
    lines: list[str] = []
    for one in version.items("bindings"):
        type = one.text("type")
        if type == "json" and one.text("name") in JUDGED:
            continue
        value = one.text("text") if type == "plain_text" else one.text("json") if type == "json" else ""
        lines.append(f"{one.text('name')} {type} {value}".rstrip())
    return PUBLIC_KEY.sub("<public key>", "\n".join(sorted(lines)))


def _documents(graph: Graph) -> Iterator[Content]:
    """Return the properties whose row in the coverage table says `baseline`."""
    for resource in graph.resources:
        covered = covering(table(), resource.type, resource.name)
        if covered is None or resource.type == VERSION:
            continue
        for path, row in covered.rows.items():
            if row.baseline:
                values = [one for one in values_at(resource.inputs, path) if not isinstance(one, Missing)]
                key = f"{resource.type.rpartition(':')[2]} {resource.name} {path}"
                text = _document(graph, resource, path, values)
                needs = _needs(graph, resource, path)
                yield Content(key, resource.urn, f"{path} of {resource.label}", (text,), needs)


def _needs(graph: Graph, resource: Resource, path: str) -> tuple[str, ...]:
    """Return the names of the resources that a property refers to."""
    urns = resource.property_dependencies.get(path.partition(".")[0].removesuffix("[]"), ())
    return tuple(sorted({one.label for urn in urns if (one := graph.get(urn)) is not None}))


def _document(graph: Graph, resource: Resource, path: str, values: list[Value]) -> str | Undetermined:
    try:
        return _named(graph, resource, "\n".join(_text(resource, path, one) for one in values))
    except Undetermined as unknown:
        return unknown


def _text(resource: Resource, path: str, value: Value) -> str:
    if isinstance(value, Unknown):
        raise Undetermined(resource.urn, path, value.value)
    if not isinstance(value, str):
        return json.dumps(value, indent=1, sort_keys=True)
    try:
        return json.dumps(json.loads(value), indent=1, sort_keys=True)
    except ValueError:
        return value


def _named(graph: Graph, resource: Resource, text: str) -> str:
    """Return a text with names in place of resources' identities and of values that follow from the settings."""
    needed = [one for urn in resource.needs if (one := graph.get(urn)) is not None]
    identities = {identity: f"<{one.label}>" for one in needed for identity in one.identities}
    for identity in sorted(identities, key=len, reverse=True):
        text = text.replace(identity, identities[identity])
    return normal(graph, text)


def _lists(graph: Graph) -> Iterator[Content]:
    """Return the names of the stack's outputs, and its resources."""
    stack = graph.stack
    yield Content("outputs", stack.urn, f"outputs of {stack.label}", (_names_of_outputs(stack),))
    yield Content("resources", stack.urn, f"resources of {stack.label}", (_names_of_resources(graph),))


def _names_of_resources(graph: Graph) -> str:
    """Return the type, name and provider of each resource of the platform; machines of a role are one line."""
    lines: set[str] = set()
    for one in graph.resources:
        if not one.is_component and expected(one):
            provider = "" if one.provider is None else f" by {one.provider.urn.rpartition('::')[2]}"
            lines.add(f"{one.type} {re.sub(NUMBERS, '-N', one.name)}{re.sub(VERSIONS, '', provider)}")
    return "\n".join(sorted(lines))


def _names_of_outputs(stack: Resource) -> str | Undetermined:
    lines: list[str] = []
    for name, value in sorted(stack.properties.items()):
        found = [leaf for _, leaf in leaves(value)]
        if Unknown.LATER in found:  # an engine does not say whether it will be secret
            return Undetermined(stack.urn, name, Unknown.LATER.value)
        lines.append(f"{name} (secret)" if Unknown.SECRET in found else name)
    return "\n".join(lines)


def _beside(graph: Graph) -> Iterator[Content]:
    """Return the resources that are not in the coverage table."""
    for resource in (*graph.resources, *graph.beside):
        if not expected(resource):
            named = resource.inputs.get("__defaults")  # the engine's own names, which differ in each run
            automatic = named if isinstance(named, list) else []
            set_inputs = sorted(resource.set_inputs.items())
            inputs: list[Value] = [{name: value} for name, value in set_inputs if name not in automatic]
            text = _beside_text(graph, resource, inputs)
            yield Content(key_of(resource), resource.urn, resource.label, (text,))


def _beside_text(graph: Graph, resource: Resource, inputs: list[Value]) -> str | Undetermined:
    for path, leaf in leaves(resource.set_inputs):
        if leaf is Unknown.LATER:
            return Undetermined(resource.urn, path, leaf.value)
    options = json.dumps(dict(sorted(resource.options.items())), sort_keys=True)
    return _named(graph, resource, json.dumps(inputs, indent=1, default=str) + options)
