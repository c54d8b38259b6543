"""Secrets at rest, in the format of Pulumi's passphrase provider.

The key is PBKDF2-HMAC-SHA256 of the passphrase (1,000,000 iterations, 8 bytes of salt), the cipher is AES-256-GCM, and
a ciphertext is `v1:NONCE:DATA`. The state's `secrets_providers` holds `v1:SALT:` and the encrypted word `pulumi`, which
serves to detect a wrong passphrase.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, cast

from sandbox.engine.errors import EngineError, InputError
from sandbox.values import SECRET_SIGNATURE, SIGNATURE, UNKNOWN_ON_THE_WIRE, Secret, Unknown, Value, reveal

ITERATIONS: Final = 1_000_000  # sdk/go/common/resource/config/crypt.go
_PROBE: Final = "pulumi"


def passphrase(home: Path, *, create: bool) -> str:
    """Return the passphrase from the environment, or else from `home/passphrase`.

    If that file does not exist and `create` is true, generate a passphrase and store it there.
    """
    if (given := os.environ.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        return given
    if named := os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        try:
            return Path(named).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise InputError(f"PULUMI_CONFIG_PASSPHRASE_FILE names {named}, which cannot be read: {error}") from error
    kept = home / "passphrase"
    if create and not kept.exists():
        home.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    try:
        return kept.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise InputError(
            f"the state contains secrets, but no passphrase is set: set PULUMI_CONFIG_PASSPHRASE, or restore {kept}"
        ) from None


class SecretsManager:
    """Encrypts and decrypts the secrets of one stack. A thread derives the key, because that takes 0.3 seconds.

    `provider` is the state's `secrets_providers`, or None if the state has none. `phrase` is called at most once.
    """

    def __init__(self, provider: dict[str, Any] | None, phrase: Callable[[], str]) -> None:
        self._salt: str = _salt_of(provider) if provider else ""
        self._phrase: Callable[[], str] = phrase
        self._key: Future[tuple[str, bytes]] | None = None
        self._starting: threading.Lock = threading.Lock()
        self._ciphertexts: dict[tuple[str, str], str] = {}

    @property
    def provider(self) -> dict[str, Any]:
        """The state's `secrets_providers`; its salt is new if the state had none."""
        return {"type": "passphrase", "state": {"salt": self._derived()[0]}}

    def prepare(self) -> None:
        """Start deriving the key in the background."""
        with self._starting:
            if self._key is None:
                self._key = Future()
                threading.Thread(target=self._derive, args=(self._key,), daemon=True).start()

    def unlock(self) -> None:
        """Wait for the key. Raise an `InputError` if the passphrase is wrong."""
        self._derived()

    def encrypt(self, owner: str, text: str) -> str:
        """Return a ciphertext of `text`. For the same `owner` and text it is the same as before."""
        known = self._ciphertexts.get((owner, text))
        if known is None:
            known = self._ciphertexts[owner, text] = _encrypt(self._derived()[1], text)
        return known

    def decrypt(self, owner: str, ciphertext: str) -> str:
        """Return the plain text of `ciphertext`."""
        text = _decrypt(self._derived()[1], ciphertext)
        self._ciphertexts[owner, text] = ciphertext
        return text

    def _derived(self) -> tuple[str, bytes]:
        self.prepare()
        assert self._key is not None
        return self._key.result()

    def _derive(self, result: Future[tuple[str, bytes]]) -> None:
        try:
            result.set_result(_unlock(self._salt, self._phrase()))
        except BaseException as error:
            result.set_exception(error)


def _salt_of(provider: dict[str, Any]) -> str:
    if provider.get("type") != "passphrase":
        raise InputError(
            f"the state's secrets are encrypted by {provider.get('type')!r}; only the passphrase provider is "
            "supported: export the state with `pulumi stack export --show-secrets` and import that"
        )
    return cast(str, provider["state"]["salt"])


def _unlock(state: str, phrase: str) -> tuple[str, bytes]:
    """Return the provider's state and the key. Generate a salt if `state` is empty; otherwise check the passphrase."""
    if not state:
        salt = os.urandom(8)
        key = _derive_key(phrase, salt)
        return f"v1:{base64.b64encode(salt).decode()}:{_encrypt(key, _PROBE)}", key
    version, salt_text, probe = state.split(":", 2)
    if version != "v1":
        raise InputError(
            f"the state's secrets have version {version!r}; only v1 is supported: export the state with "
            "`pulumi stack export --show-secrets` and import that"
        )
    key = _derive_key(phrase, base64.b64decode(salt_text))
    if _decrypt(key, probe) != _PROBE:
        raise InputError(
            "the state's `secrets_providers` is damaged: the encrypted check word is not `pulumi`; restore the state"
        )
    return state, key


def _derive_key(phrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", phrase.encode(), salt, ITERATIONS, 32)


def _encrypt(key: bytes, text: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 (40 ms, only with secrets)

    nonce = os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def _decrypt(key: bytes, ciphertext: str) -> str:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (as above)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        _, nonce, sealed = ciphertext.split(":")
        return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
    except InvalidTag:
        raise InputError(
            "incorrect passphrase: it does not decrypt the state's secrets; set PULUMI_CONFIG_PASSPHRASE to the "
            "passphrase that this stack was created with (nothing was changed)"
        ) from None
    except (ValueError, binascii.Error) as error:
        raise EngineError(f"a secret in the state is damaged ({error}); restore the state from a good copy") from error


def to_json(value: Value, owner: str, manager: SecretsManager | None) -> Any:
    """Convert a property value to the state's JSON. Secrets are encrypted, or in plain text if `manager` is None."""
    if isinstance(value, Secret):
        bare = reveal({"": value.value})[""]
        text = json.dumps(to_json(bare, owner, None), separators=(",", ":"), ensure_ascii=False)
        kept = {"plaintext": text} if manager is None else {"ciphertext": manager.encrypt(owner, text)}
        return {SIGNATURE: SECRET_SIGNATURE, **kept}
    if isinstance(value, dict):
        return {key: to_json(item, owner, manager) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item, owner, manager) for item in value]
    return UNKNOWN_ON_THE_WIRE if isinstance(value, Unknown) else value


def from_json(value: Any, owner: str, manager: SecretsManager) -> Value:
    """Convert the state's JSON to a property value. Secrets may be encrypted or in plain text."""
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        if SIGNATURE in fields:
            text = fields.get("plaintext")
            return Secret(
                _without_markers(json.loads(manager.decrypt(owner, fields["ciphertext"]) if text is None else text))
            )
        return {key: from_json(item, owner, manager) for key, item in fields.items()}
    if isinstance(value, list):
        return [from_json(item, owner, manager) for item in cast(list[Any], value)]
    return value


def _without_markers(value: Any) -> Value:
    """Return a secret's content without nested secret markers. Pulumi keeps those and does not encrypt them again."""
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        if fields.get(SIGNATURE) == SECRET_SIGNATURE:
            text = fields.get("plaintext")
            return _without_markers(json.loads(fields["ciphertext"] if text is None else text))
        return {key: _without_markers(item) for key, item in fields.items()}
    if isinstance(value, list):
        return [_without_markers(item) for item in cast(list[Any], value)]
    return value


def holds_ciphertext(value: Any) -> bool:
    """Whether JSON from a state contains an encrypted secret."""
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return "ciphertext" in fields if SIGNATURE in fields else any(map(holds_ciphertext, fields.values()))
    return isinstance(value, list) and any(map(holds_ciphertext, cast(list[Any], value)))
