"""The manifest keys: the machines' private keys and the exported public keys belong together."""

from __future__ import annotations

import base64
import json

from components.keys import MANIFEST_KEYS, PASSWORD_LENGTH
from model.signing import public_key
from tests.components.project import Deployed


def test_the_stack_exports_the_public_keys_of_the_machines_signing_keys(staging: Deployed):
    (version,) = (
        one
        for one in staging.revealed["deployment"]["resources"]
        if one["urn"].endswith("SecretVersion::access-manifest-keys")
    )
    lines = json.loads(version["inputs"]["secretString"]["plaintext"]).splitlines()
    assert [len(line) for line in lines] == [PASSWORD_LENGTH] * len(MANIFEST_KEYS)
    exported = staging.printed["outputs"]["manifestPublicKeys"]
    assert exported == [public_key(line) for line in lines]
    assert all(len(base64.b64decode(key)) == 32 for key in exported)
