"""The provider of every package: resource operations driven by the SDK's schema and the package's facts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import datetime

from sandbox.clouds.differ import classify, differences, same
from sandbox.clouds.facts import EvaluationContext, Facts, NotYetKnown, Package, digits, value_of
from sandbox.clouds.follower import Follower
from sandbox.clouds.limits import against_limits
from sandbox.clouds.outputs import PreviousObject, compute_outputs, without_filled
from sandbox.clouds.rejections import rejections, with_assumed_owner
from sandbox.clouds.schema import Schema, Shape
from sandbox.clouds.sensitive import marked
from sandbox.clouds.store import CloudObject, Objects
from sandbox.clouds.validate import against_rules, against_schema, suggest
from sandbox.provider import Change, Checked, CheckFailure, Difference, Found, ProviderError
from sandbox.values import Properties, holds_unknown

Clock = Callable[[], datetime]
"""Returns the current time, with a time zone."""

DEFAULTS = "__defaults"
"""The input that holds the names of inputs that `check` filled in, as in Pulumi's bridged providers."""


class Cloud:
    """A provider of one package with one configuration. All providers of a sandbox share the objects."""

    def __init__(
        self,
        package: Package,
        schema: Schema,
        objects: Objects,
        lock: threading.RLock,
        follower: Follower,
        clock: Clock,
        config: Properties | None = None,
    ) -> None:
        self.package: str = package.name
        self.version: str = schema.version
        self._facts: Package = package
        self._schema: Schema = schema
        self._objects: Objects = objects
        self._lock: threading.RLock = lock
        self._follower: Follower = follower
        self._clock: Clock = clock
        self._config: Properties = config or {}
        self._settings: dict[str, str] = package.settings(self._config)

    def check_config(self, urn: str, inputs: Properties) -> Checked:
        """Validate the provider's own configuration."""
        del urn
        token = f"pulumi:providers:{self.package}"
        shape = self._shape(token)
        parsed = _parsed(shape, inputs)
        failures = [*against_schema(self._schema, shape.inputs, {**parsed, "version": None})]
        if not failures:
            failures += against_rules(self._facts.config_rules, parsed)
        return Checked(inputs, tuple(failures))

    def configure(self, inputs: Properties) -> Cloud:
        """Return a provider with another configuration and the same objects."""
        parsed = _parsed(self._shape(f"pulumi:providers:{self.package}"), inputs)
        return Cloud(self._facts, self._schema, self._objects, self._lock, self._follower, self._clock, parsed)

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, seed: bytes) -> Checked:
        """Fill in a generated name, then check the inputs against the schema and the rules."""
        shape = self._schema.resource(type)
        if shape is None:
            return Checked(news, (CheckFailure("", self._no_such_type(type)),))
        facts = self._facts.facts(type)
        inputs = _named(facts, urn, olds or {}, news, seed)
        failures = [*against_schema(self._schema, shape.inputs, inputs)]
        if not failures:  # rules rely on correct types
            failures += against_rules(self._facts.rules, inputs)
            failures += _against_facts(facts, inputs)
            failures += against_limits(type, inputs)
            failures += [failure for check in self._facts.input_checks for failure in check(inputs, self._settings)]
        return Checked(marked(inputs, facts.sensitive), tuple(failures))

    def diff(self, type: str, id: str, old_inputs: Properties, old_outputs: Properties, news: Properties) -> Difference:
        """Compare the new inputs, and outputs that depend on the configuration or the time, with the object's."""
        del id
        facts = self._facts.facts(type)
        shape = self._shape(type)
        forcing = (*self._facts.replaces, *facts.replaces, *_conditional(facts, news))
        detail = classify(differences(old_inputs, news), forcing)
        for name, follow in self._facts.common.items():
            if name in shape.outputs and name in old_outputs and not _touched(detail, name):
                following = follow(self._config, news)
                detail |= classify(differences(old_outputs[name], following, name), forcing)
        if facts.renewal and facts.renewal.due(old_outputs, news, self._clock()):
            detail[facts.renewal.output] = Change.UPDATE_REPLACE
        replacing = any(change.endswith("-replace") for change in detail.values())
        return Difference(detail, replacing and _collides(facts, old_inputs, news))

    def create(self, urn: str, type: str, inputs: Properties, preview: bool) -> tuple[str, Properties]:
        """Create an object, or in a preview return its expected outputs."""
        facts, shape = self._facts.facts(type), self._shape(type)
        if not preview:
            _require_known(type, inputs)
            self._follower.creating(type, inputs)
        with self._lock:
            context = self._context(urn, inputs, self._objects.generation(urn))
            made, generated = ("", {}) if preview else self._generate(type, facts, context)
            outputs = compute_outputs(facts, shape, context, inputs, self._common(shape, inputs), id=made)
            outputs |= generated
            thing = CloudObject(type, made, urn, self._scope(facts, context, urn), _given(inputs), outputs)
            self._check_rejections(thing, facts, context, planned=preview)
            if preview:
                self._objects.plan(with_assumed_owner(self._objects, thing, facts))
            else:
                self._objects.insert(thing)
        if not preview:
            self._follower.changed(type, made, outputs)
        return made, marked(outputs, facts.sensitive)

    def update(
        self, urn: str, type: str, id: str, old_outputs: Properties, news: Properties, preview: bool
    ) -> Properties:
        """Update an object in place. Outputs that do not depend on a changed input keep their values."""
        facts, shape = self._facts.facts(type), self._shape(type)
        with self._lock:
            old = self._objects.find(type, id, urn)
            if not preview:
                _require_known(type, news)
                if old is None:
                    raise ProviderError(f"{type} {id} no longer exists; run refresh, then up to create it again")
            # `generation` counts the objects created for the URN, including this one, so its digits come from one less.
            context = self._context(urn, news, max(self._objects.generation(urn) - 1, 0))
            before = PreviousObject(old.outputs, old.given) if old else PreviousObject(old_outputs, ())
            outputs = compute_outputs(facts, shape, context, news, self._common(shape, news), id=id, before=before)
            thing = CloudObject(
                type, id, urn, old.scope if old else self._scope(facts, context, urn), _given(news), outputs
            )
            self._check_rejections(thing, facts, context, planned=preview, itself=old)
            if preview:
                self._objects.plan(with_assumed_owner(self._objects, thing, facts))
            else:
                self._objects.replace(thing)
        if not preview:
            self._follower.changed(type, id, outputs)
        return marked(outputs, facts.sensitive)

    def read(self, urn: str, type: str, id: str, inputs: Properties) -> Found | None:
        """Return the current object with the inputs named in `inputs`, or with all inputs it was created with.

        Inputs that were set outside this stack are included, so that the next update reverts them.
        """
        with self._lock:
            thing = self._objects.find(type, id, urn)
        if thing is None:
            return None
        facts = self._facts.facts(type)
        outputs = facts.read_back(thing.outputs) if facts.read_back else thing.outputs
        if facts.renewal and facts.renewal.due(outputs, outputs, self._clock()):
            outputs = {**outputs, facts.renewal.output: True}
        names = [name for name in inputs if name != DEFAULTS] or list(thing.given)
        shape = self._shape(type)
        own = {*thing.given, *shape.computed, *facts.defaults, *facts.computed}
        foreign = (name for name in outputs if name not in own or outputs[name] != thing.outputs.get(name))
        names += [name for name in foreign if name in shape.inputs and name not in names]
        known = {name: outputs[name] for name in names if outputs.get(name) is not None}
        known = without_filled(known, facts, inputs)
        if DEFAULTS in inputs:
            known[DEFAULTS] = inputs[DEFAULTS]
        return Found(thing.id, marked(known, facts.sensitive), marked(outputs, facts.sensitive))

    def delete(self, urn: str, type: str, id: str) -> None:
        """Delete an object; raise a `ProviderError` if the cloud would reject that."""
        with self._lock:
            thing = self._objects.find(type, id, urn)
            if thing is None:
                return
            self._refuse_deletion(thing)
        self._follower.deleting(type, id, thing.outputs)
        with self._lock:
            facts = self._facts.facts(type)
            for part in list(self._objects.referrers(thing, facts, facts.cascades_to)):
                self._objects.remove(part)
            self._objects.remove(thing)
        self._follower.deleted(type, id, thing.outputs)

    def undeletable(self, type: str) -> tuple[str, str] | None:
        """For a type that the real provider cannot delete: the property that refers to the owner, and the remedy."""
        return self._facts.facts(type).undeletable

    def find_by_urn(self, urn: str, type: str) -> str | None:
        """Return the id of the newest object of a URN that exists, or None."""
        with self._lock:
            found = [thing.id for thing in self._objects.existing.of_urn(urn) if thing.type == type]
        return found[-1] if found else None

    def invoke(self, token: str, arguments: Properties) -> Properties:
        """Call a provider function."""
        shape = self._schema.function(token)
        if shape is None:
            raise ProviderError(f"{self.package} has no function {token}")
        failures = [*against_schema(self._schema, shape.inputs, arguments)]
        if failures:
            raise ProviderError(f"{token}: {failures[0].path}: {failures[0].reason}")
        if token in self._facts.lookups:
            with self._lock:
                found = self._facts.lookups[token](arguments, self._objects)
            if found is not None:
                return found
        if token not in self._facts.functions:
            known = ", ".join(sorted(self._facts.functions))
            raise ProviderError(f"the simulated {self.package} does not have the function {token}; it has {known}")
        return self._facts.functions[token](arguments, self._settings)

    def _refuse_deletion(self, thing: CloudObject) -> None:
        facts = self._facts.facts(thing.type)
        reason = facts.rejects_deletion(thing.outputs) if facts.rejects_deletion else None
        if reason is not None:
            raise ProviderError(f"{thing.type} {thing.id} cannot be deleted: {reason}")
        for holder in self._objects.referrers(thing, facts, facts.deletion_blocked_by):
            raise ProviderError(
                f"{thing.type} {thing.id} cannot be deleted: {holder.type} {holder.id} still uses it; delete that first"
            )

    def _shape(self, token: str) -> Shape:
        shape = self._schema.resource(token)
        if shape is None:
            raise ProviderError(self._no_such_type(token))
        return shape

    def _no_such_type(self, type: str) -> str:
        return (
            f"{self.package} {self.version} has no resource type {type}; {suggest(type, self._schema.tokens())[:200]}"
        )

    def _context(self, urn: str, inputs: Properties, generation: int) -> EvaluationContext:
        fields: Properties = {**self._settings, **{name: value for name, value in inputs.items() if value is not None}}
        return EvaluationContext(fields, f"{urn}#{generation}", self._objects, self._clock())

    def _generate(self, type: str, facts: Facts, context: EvaluationContext) -> tuple[str, Properties]:
        """Return the id of a new object, and its outputs that are made together with the id."""
        if facts.generated is None:
            return str(value_of(facts.id or self._facts.id, context)), {}
        # Values that were unknown in the preview are known now.
        for failure in _against_facts(facts, context.fields):
            raise ProviderError(f"{type}: {failure.path}: {failure.reason}")
        return facts.generated(context)

    def _common(self, shape: Shape, inputs: Properties) -> Properties:
        return {
            name: follow(self._config, inputs) for name, follow in self._facts.common.items() if name in shape.outputs
        }

    def _scope(self, facts: Facts, context: EvaluationContext, urn: str) -> str:
        try:
            return str(value_of(facts.scope, context))
        except NotYetKnown:
            return urn  # an unknown scope: in a preview no other object is in it

    def _check_rejections(
        self,
        thing: CloudObject,
        facts: Facts,
        context: EvaluationContext,
        *,
        planned: bool,
        itself: CloudObject | None = None,
    ) -> None:
        for reason in rejections(self._objects, thing, facts, context, self._facts, planned=planned, itself=itself):
            raise ProviderError(f"{thing.type}: {reason}")


def _against_facts(facts: Facts, inputs: Properties) -> Iterator[CheckFailure]:
    yield from against_rules(facts.rules, inputs)
    for rule in facts.inputs_rules:
        yield from rule(inputs)


def _parsed(shape: Shape, inputs: Properties) -> Properties:
    """Decode provider configuration: the SDKs send all values except strings as JSON text."""

    def value(name: str) -> object:
        given, declared = inputs[name], shape.inputs.get(name)
        if isinstance(given, str) and declared is not None and declared.type.kind != "string":
            try:
                return json.loads(given)
            except ValueError:
                return given  # the schema check reports the type error
        return given

    return {name: value(name) for name in inputs if name != "version"}  # pyright: ignore[reportReturnType] (JSON)


def _named(facts: Facts, urn: str, olds: Properties, news: Properties, seed: bytes) -> Properties:
    """Return the inputs with a generated name if none is given: the old one, or the resource's name with 7 digits."""
    field = facts.autoname
    if not field or news.get(field) is not None:
        return news
    kept = olds.get(field) if field in _defaulted(olds) else None
    logical = urn.rpartition("::")[2]
    fresh = facts.autoname_format.format(name=logical, hex7=digits(f"{urn}{seed.hex()}", 7))
    return {**news, field: kept or fresh, DEFAULTS: [field]}


def _defaulted(inputs: Properties) -> list[object]:
    names = inputs.get(DEFAULTS)
    return list(names) if isinstance(names, list) else []


def _conditional(facts: Facts, news: Properties) -> Iterator[str]:
    for pattern, condition in facts.replaces_when.items():
        if news.get(condition) is True:
            yield pattern


def _given(inputs: Properties) -> tuple[str, ...]:
    return tuple(name for name, value in inputs.items() if value is not None and not name.startswith("__"))


def _touched(detail: dict[str, Change], name: str) -> bool:
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for path in detail)


def _collides(facts: Facts, olds: Properties, news: Properties) -> bool:
    """Whether the new object would have a unique name of the old one, which must then be deleted first."""
    generated = _defaulted(news)

    def kept(group: tuple[str, ...]) -> bool:
        return all(
            news.get(name) is not None and name not in generated and same(olds.get(name), news.get(name))
            for name in group
        )

    return any(kept(group) for group in facts.unique)


def _require_known(type: str, inputs: Properties) -> None:
    for name, value in inputs.items():
        if holds_unknown(value):
            raise ProviderError(f"{type}: {name} is unknown, which is only valid in a preview")
