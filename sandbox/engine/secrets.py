"""Secrets at rest, as Pulumi's passphrase provider keeps them.

The key is PBKDF2-HMAC-SHA256 of the passphrase (1,000,000 iterations, 8 bytes of salt), the cipher AES-256-GCM, a
ciphertext `v1:NONCE:DATA`; the state's `secrets_providers` holds `v1:SALT:` and the word `pulumi` encrypted, by which
a wrong passphrase is recognised.
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
    """The passphrase from the environment, else the one kept in `home/passphrase`, made there if `create` says so."""
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
            f"the state holds secrets but there is no passphrase: set PULUMI_CONFIG_PASSPHRASE, or restore {kept}"
        ) from None


class Vault:
    """Encrypts and decrypts the secrets of one stack; the key is derived in a thread, as it takes a third of a second.

    `provider` is the state's `secrets_providers`, None for a stack that has none yet. `phrase` is called at most once.
    """

    def __init__(self, provider: dict[str, Any] | None, phrase: Callable[[], str]) -> None:
        self._salt: str = _salt_of(provider) if provider else ""
        self._phrase: Callable[[], str] = phrase
        self._key: Future[tuple[str, bytes]] | None = None
        self._starting: threading.Lock = threading.Lock()
        self._ciphertexts: dict[tuple[str, str], str] = {}

    @property
    def provider(self) -> dict[str, Any]:
        """The state's `secrets_providers`, with a new salt where there was none."""
        return {"type": "passphrase", "state": {"salt": self._derived()[0]}}

    def prepare(self) -> None:
        """Start to derive the key, so that it is there when it is needed."""
        with self._starting:
            if self._key is None:
                self._key = Future()
                threading.Thread(target=self._derive, args=(self._key,), daemon=True).start()

    def unlock(self) -> None:
        """Wait for the key; a wrong passphrase is an `InputError`."""
        self._derived()

    def encrypt(self, owner: str, text: str) -> str:
        """The ciphertext of `text`; the one that `owner` had for the same text before, if any."""
        known = self._ciphertexts.get((owner, text))
        if known is None:
            known = self._ciphertexts[owner, text] = _seal(self._derived()[1], text)
        return known

    def decrypt(self, owner: str, ciphertext: str) -> str:
        """The text that `encrypt` was given."""
        text = _open(self._derived()[1], ciphertext)
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
            f"the state's secrets are kept by {provider.get('type')!r}; only the passphrase provider is supported: "
            "export with `pulumi stack export --show-secrets` and import that"
        )
    return cast(str, provider["state"]["salt"])


def _unlock(state: str, phrase: str) -> tuple[str, bytes]:
    """The provider's state and the key; a new salt where `state` is empty, a check of the passphrase otherwise."""
    if not state:
        salt = os.urandom(8)
        key = _stretch(phrase, salt)
        return f"v1:{base64.b64encode(salt).decode()}:{_seal(key, _PROBE)}", key
    version, salt_text, probe = state.split(":", 2)
    if version != "v1":
        raise InputError(f"the state's secrets have version {version!r}; this engine knows v1")
    key = _stretch(phrase, base64.b64decode(salt_text))
    if _open(key, probe) != _PROBE:
        raise InputError("the state's secrets provider is damaged: its probe does not read `pulumi`")
    return state, key


def _stretch(phrase: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", phrase.encode(), salt, ITERATIONS, 32)


def _seal(key: bytes, text: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 (40 ms, only with secrets)

    nonce = os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), None)
    return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"


def _open(key: bytes, ciphertext: str) -> str:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (as above)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    try:
        _, nonce, sealed = ciphertext.split(":")
        return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
    except InvalidTag:
        raise InputError(
            "incorrect passphrase: the state's secrets do not open with it; set PULUMI_CONFIG_PASSPHRASE to the one "
            "that this stack was made with (nothing was changed)"
        ) from None
    except (ValueError, binascii.Error) as error:
        raise EngineError(f"a secret in the state is damaged ({error}); restore the state from a good copy") from error


def to_json(value: Value, owner: str, vault: Vault | None) -> Any:
    """A property value as the state keeps it; secrets are encrypted, or in plain text where `vault` is None."""
    if isinstance(value, Secret):
        bare = reveal({"": value.value})[""]
        text = json.dumps(to_json(bare, owner, None), separators=(",", ":"), ensure_ascii=False)
        kept = {"plaintext": text} if vault is None else {"ciphertext": vault.encrypt(owner, text)}
        return {SIGNATURE: SECRET_SIGNATURE, **kept}
    if isinstance(value, dict):
        return {key: to_json(item, owner, vault) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item, owner, vault) for item in value]
    return UNKNOWN_ON_THE_WIRE if isinstance(value, Unknown) else value


def from_json(value: Any, owner: str, vault: Vault) -> Value:
    """The inverse of `to_json`, for either form of secret."""
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        if SIGNATURE in fields:
            text = fields.get("plaintext")
            return Secret(_unmarked(json.loads(vault.decrypt(owner, fields["ciphertext"]) if text is None else text)))
        return {key: from_json(item, owner, vault) for key, item in fields.items()}
    if isinstance(value, list):
        return [from_json(item, owner, vault) for item in cast(list[Any], value)]
    return value


def _unmarked(value: Any) -> Value:
    """A secret's content without the marks of secrets in it, which Pulumi keeps and does not encrypt again."""
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        if fields.get(SIGNATURE) == SECRET_SIGNATURE:
            text = fields.get("plaintext")
            return _unmarked(json.loads(fields["ciphertext"] if text is None else text))
        return {key: _unmarked(item) for key, item in fields.items()}
    if isinstance(value, list):
        return [_unmarked(item) for item in cast(list[Any], value)]
    return value


def holds_ciphertext(value: Any) -> bool:
    """Whether JSON from a state holds an encrypted secret, so that reading it takes the key."""
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return "ciphertext" in fields if SIGNATURE in fields else any(map(holds_ciphertext, fields.values()))
    return isinstance(value, list) and any(map(holds_ciphertext, cast(list[Any], value)))
