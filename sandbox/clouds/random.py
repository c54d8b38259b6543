"""Simulated random provider: values are truly random, stored, and generated again if `keepers` change."""

from __future__ import annotations

import base64
import secrets
import string
import uuid
from collections.abc import Iterator

from sandbox.clouds import rules
from sandbox.clouds.facts import EvaluationContext, Facts, Package
from sandbox.provider import CheckFailure
from sandbox.values import Properties, Value

_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
# Each class of characters: the input that allows it, and the input with the minimum count.
_CLASSES = (
    ("lower", "minLower", string.ascii_lowercase),
    ("upper", "minUpper", string.ascii_uppercase),
    ("numeric", "minNumeric", string.digits),
    ("special", "minSpecial", _SPECIAL),
)
_DEPRECATED_NAME = {"numeric": "number"}  # the provider still accepts it
_LEFT = ("brave", "calm", "eager", "fair", "gentle", "keen", "light", "noble", "quick", "rare", "sunny", "warm")
_RIGHT = ("badger", "crane", "falcon", "heron", "ibex", "lynx", "marten", "otter", "raven", "seal", "swift", "wren")


def _characters(context: EvaluationContext) -> str:
    """Return a random string of the requested length with the minimum count of each character class."""
    chosen: list[str] = []
    everything = ""
    for allow, least, alphabet in _CLASSES:
        letters = context.get("overrideSpecial") or alphabet if allow == "special" else alphabet
        if all(context.get(name) is not False for name in (allow, _DEPRECATED_NAME.get(allow, allow))):
            everything += letters
            chosen += [secrets.choice(letters) for _ in range(context.get(least) or 0)]
    chosen += [secrets.choice(everything) for _ in range(context["length"] - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def _length_and_classes(inputs: Properties) -> Iterator[CheckFailure]:
    """Check that the length is enough for the minimum counts, and that a character class is allowed."""
    length, numbers = inputs.get("length"), [inputs.get(least) for _, least, _ in _CLASSES]
    needed = sum(number for number in numbers if isinstance(number, int))
    if isinstance(length, int) and length < max(needed, 1):
        yield CheckFailure("length", f"{length} is too short; at least {max(needed, 1)} are needed")
    if all(inputs.get(allow) is False for allow, _, _ in _CLASSES):
        yield CheckFailure("lower", "at least one of lower, upper, numeric and special must be true")


def _range(inputs: Properties) -> Iterator[CheckFailure]:
    low, high = inputs.get("min"), inputs.get("max")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield CheckFailure("max", f"{high} must not be below min {low}")


def _pet(context: EvaluationContext) -> str:
    words = [secrets.choice(_LEFT) for _ in range((context.get("length") or 2) - 1)]
    prefix = context.get("prefix")
    separator = context.get("separator") or "-"
    return separator.join([*([prefix] if prefix else []), *words, secrets.choice(_RIGHT)])


def _integer(context: EvaluationContext) -> Value:
    return context["min"] + secrets.randbelow(context["max"] - context["min"] + 1)


def _bytes(context: EvaluationContext) -> bytes:
    return bytes.fromhex(context["hex"])


def _id_bytes(context: EvaluationContext) -> bytes:
    text: str = context["id"]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _fresh_uuid(_: EvaluationContext) -> str:
    return str(uuid.uuid4())


def _shuffled(context: EvaluationContext) -> Value:
    given = list(context["inputs"])
    secrets.SystemRandom().shuffle(given)
    return given[: context.get("resultCount") or len(given)]


_ON = dict.fromkeys(("lower", "upper", "numeric", "number", "special"), True)
_NONE = dict.fromkeys(("minLower", "minUpper", "minNumeric", "minSpecial"), 0)


_UUID = Facts(id=_fresh_uuid, computed={"result": "{id}"})

TYPES = {
    "random:index/randomPassword:RandomPassword": Facts(
        computed={"result": _characters, "bcryptHash": "$2a$10${hex53}"},
        defaults={**_ON, **_NONE},
        inputs_rules=(_length_and_classes,),
    ),
    "random:index/randomString:RandomString": Facts(
        id=_characters, computed={"result": "{id}"}, defaults={**_ON, **_NONE}, inputs_rules=(_length_and_classes,)
    ),
    "random:index/randomId:RandomId": Facts(
        id=lambda context: secrets.token_urlsafe(context["byteLength"]),
        computed={
            "b64Url": "{id}",
            "b64Std": lambda context: base64.b64encode(_id_bytes(context)).decode(),
            "hex": lambda context: f"{context['prefix']}{_id_bytes(context).hex()}",
            "dec": lambda context: f"{context['prefix']}{int.from_bytes(_id_bytes(context))}",
        },
        rules={"byteLength": rules.between(1, 1024, "bytes")},
    ),
    "random:index/randomBytes:RandomBytes": Facts(
        computed={
            "hex": lambda context: secrets.token_hex(context["length"]),
            "base64": lambda context: base64.b64encode(_bytes(context)).decode(),
        },
        rules={"length": rules.between(1, 65536, "bytes")},
    ),
    "random:index/randomUuid:RandomUuid": _UUID,
    "random:index/randomUuid4:RandomUuid4": _UUID,
    "random:index/randomPet:RandomPet": Facts(
        id=_pet, defaults={"length": 2, "separator": "-"}, rules={"length": rules.between(1, 16, "words")}
    ),
    "random:index/randomInteger:RandomInteger": Facts(
        id=_integer, computed={"result": lambda context: int(context["id"])}, inputs_rules=(_range,)
    ),
    "random:index/randomShuffle:RandomShuffle": Facts(computed={"results": _shuffled}),
}


def _settings(_: Properties) -> dict[str, str]:
    return {"region": "", "account": ""}


# No property can be updated in place: every change forces a replacement.
PACKAGE = Package(name="random", types=TYPES, functions={}, settings=_settings, replaces=("*",))
