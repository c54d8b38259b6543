"""Facts of zones: DNS, TLS, settings, rules, health checks.

Facts: https://developers.cloudflare.com/api/resources/zones/subresources/settings/ and
https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from sandbox.clouds import rules
from sandbox.clouds.cloudflare import prerequisites
from sandbox.clouds.cloudflare.storage import EPOCH, UUID
from sandbox.clouds.facts import Facts
from sandbox.clouds.validate import suggest
from sandbox.provider import CheckFailure
from sandbox.values import UNKNOWN, Properties, Value

HOSTNAME = rules.text(
    r"(?=.{1,253}$)(\*\.)?([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)*[a-zA-Z0-9-]{1,63}|@",
    "a host name of at most 253 characters, with labels of at most 63",
)
TLS = ("1.0", "1.1", "1.2", "1.3")

_SWITCHES = """
    0rtt advanced_ddos always_online always_use_https automatic_https_rewrites brotli browser_check
    china_network_enabled development_mode early_hints email_obfuscation fonts hotlink_protection http2 http3
    ip_geolocation ipv6 mirage opportunistic_encryption opportunistic_onion orange_to_orange origin_error_page_pass_thru
    prefetch_preload privacy_pass replace_insecure_js response_buffering rocket_loader server_side_exclude sha1_support
    sort_query_string_for_cache tls_1_2_only tls_client_auth true_client_ip_header waf webp websockets
""".split()  # noqa: SIM905 (a list of quoted strings would be harder to read)

_SETTINGS: dict[str, tuple[Value, ...]] = {
    **dict.fromkeys(_SWITCHES, ("on", "off")),
    "cache_level": ("bypass", "basic", "simplified", "aggressive"),
    "cname_flattening": ("flatten_at_root", "flatten_all"),
    "h2_prioritization": ("on", "off", "custom"),
    "image_resizing": ("on", "off", "open"),
    "min_tls_version": TLS,
    "origin_max_http_version": ("1", "2"),
    "polish": ("off", "lossless", "lossy", "webp"),
    "pseudo_ipv4": ("off", "add_header", "overwrite_header"),
    "security_level": ("off", "essentially_off", "low", "medium", "high", "under_attack"),
    "ssl": ("off", "flexible", "full", "strict", "origin_pull"),
    "tls_1_3": ("on", "off", "zrt"),
    "transformations": ("on", "off", "open"),
    "transformations_allowed_origins": (),
}
# Settings whose values are objects, lists or numbers: only the value's type is checked.
_SHAPES: dict[str, type] = {
    "aegis": dict,
    "automatic_platform_optimization": dict,
    "browser_cache_ttl": int,
    "challenge_ttl": int,
    "ciphers": list,
    "edge_cache_ttl": int,
    "max_upload": int,
    "nel": dict,
    "origin_h2_max_streams": int,
    "proxy_read_timeout": int,
    "security_header": dict,
}
_NUMERIC_DATA = (
    "SRV",
    "CAA",
    "TLSA",
    "DS",
    "DNSKEY",
    "CERT",
    "SSHFP",
    "SMIMEA",
    "NAPTR",
    "LOC",
    "URI",
    "HTTPS",
    "SVCB",
)
_PROXIABLE = ("A", "AAAA", "CNAME")


def _setting(inputs: Properties) -> Iterator[CheckFailure]:
    name, value = inputs.get("settingId"), inputs.get("value")
    if not isinstance(name, str) or value is UNKNOWN:
        return
    if name in _SHAPES:
        kind = _SHAPES[name]
        if not isinstance(value, kind):
            words = {dict: "an object", list: "a list", int: "a whole number"}[kind]
            yield CheckFailure("value", f"{value!r} is not valid for {name}; set {words}")
    elif name not in _SETTINGS:
        yield CheckFailure("settingId", f"{name!r} is not a zone setting; {suggest(name, (*_SETTINGS, *_SHAPES))}")
    elif _SETTINGS[name] and value not in _SETTINGS[name]:
        allowed = ", ".join(map(str, _SETTINGS[name]))
        yield CheckFailure("value", f"{value!r} is not among the values allowed for {name}: {allowed}")


def _hsts(inputs: Properties) -> Iterator[CheckFailure]:
    value = inputs.get("value")
    if inputs.get("settingId") != "security_header" or not isinstance(value, dict):
        return
    header = value.get("strict_transport_security")
    if not isinstance(header, dict):
        yield CheckFailure("value.strict_transport_security", "is required for security_header; set an object")
        return
    known = ("enabled", "include_subdomains", "max_age", "nosniff", "preload")
    for name in header:
        if name not in known:
            yield CheckFailure(
                f"value.strict_transport_security.{name}", f"there is no such property; {suggest(name, known)}"
            )


def _record(inputs: Properties) -> Iterator[CheckFailure]:
    kind, content, ttl = (inputs.get(name) for name in ("type", "content", "ttl"))
    proxied = inputs.get("proxied") is True
    if isinstance(ttl, int | float) and ttl != 1 and not 30 <= ttl <= 86_400:
        yield CheckFailure("ttl", f"{ttl} is out of range; allowed is 1 (automatic), or from 30 to 86400 seconds")
    if proxied and isinstance(ttl, int | float) and ttl != 1:
        yield CheckFailure("ttl", f"{ttl} must be 1 (automatic) if proxied is true")
    if proxied and kind is not UNKNOWN and kind not in _PROXIABLE:
        yield CheckFailure("proxied", f"{kind} records cannot be proxied; only {', '.join(_PROXIABLE)} can")
    if kind in _NUMERIC_DATA:
        if inputs.get("data") is None and content is None:
            yield CheckFailure("data", f"is required for {kind} records")
    elif content is None and kind is not UNKNOWN and inputs.get("data") is None:
        yield CheckFailure("content", f"is required for {kind} records")
    if kind in {"MX", "URI"} and inputs.get("priority") is None:
        yield CheckFailure("priority", f"is required for {kind} records; set a number from 0 to 65535")
    if isinstance(content, str) and isinstance(kind, str):
        yield from _content(kind, content)


def _content(kind: str, content: str) -> Iterator[CheckFailure]:
    version = {"A": 4, "AAAA": 6}.get(kind)
    if version is not None:
        try:
            right = ipaddress.ip_address(content).version == version
        except ValueError:
            right = False
        if not right:
            yield CheckFailure("content", f"{content!r} is not an IPv{version} address, which {kind} records require")
    elif kind in {"CNAME", "NS", "MX", "PTR"}:
        reason = HOSTNAME(content.rstrip("."))
        if reason is not None:
            yield CheckFailure("content", reason)
    elif kind == "TXT" and len(content) > 2048:
        yield CheckFailure("content", f"has {len(content)} characters; at most 2048 are allowed")


def _certificate(inputs: Properties) -> Iterator[CheckFailure]:
    if inputs.get("certificateAuthority") == "lets_encrypt" and inputs.get("validityDays") not in {90, UNKNOWN}:
        yield CheckFailure("validityDays", "must be 90 for lets_encrypt")


def _hostname_tls(inputs: Properties) -> Iterator[CheckFailure]:
    name, value = inputs.get("settingId"), inputs.get("value")
    known = ("min_tls_version", "ciphers", "http2")
    if isinstance(name, str) and name not in known:
        yield CheckFailure("settingId", f"{name!r} is not a TLS setting; known are {', '.join(known)}")
    allowed = {"min_tls_version": TLS, "http2": ("on", "off")}.get(str(name))
    if allowed and value is not UNKNOWN and value not in allowed:
        yield CheckFailure("value", f"{value!r} is not among the values allowed for {name}: {', '.join(allowed)}")


def _one_owner(inputs: Properties) -> Iterator[CheckFailure]:
    if (inputs.get("accountId") is None) == (inputs.get("zoneId") is None):
        yield CheckFailure("zoneId", "set exactly one of zoneId and accountId")


TYPES = {
    prerequisites.ZONE: Facts(
        computed={
            "nameServers": ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
            # Pending until the registrar has its name servers; `functions` activates it.
            "status": "pending",
            "activatedOn": None,
            "createdOn": EPOCH,
            "modifiedOn": EPOCH,
            "verificationKey": "{hex32}",
            "cnameSuffix": "cdn.cloudflare.net",
            "originalDnshost": None,
            "originalRegistrar": None,
        },
        defaults={"type": "full", "paused": False},
        replaces=("name", "account"),
        rules={
            "name": rules.text(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", "a domain name")
        },
        unique=(("name",),),
        known_as=("name",),
        deletion_blocked_by=(),
    ),
    "cloudflare:index/zoneSetting:ZoneSetting": Facts(
        id="{settingId}",
        undeletable=(
            "zoneId",
            "first declare the value that the zone must have and run `up`, or change it in the dashboard",
        ),
        computed={"editable": True, "modifiedOn": EPOCH, "timeRemaining": 0},
        replaces=("settingId",),
        inputs_rules=(_setting, _hsts),
        known_as=(),
        scope="{zoneId}",
        unique=(("settingId",),),
    ),
    "cloudflare:index/zoneDnssec:ZoneDnssec": Facts(
        id="{zoneId}",
        computed={
            "algorithm": "13",
            "digest": "{hex64}",
            "digestAlgorithm": "SHA256",
            "digestType": "2",
            "ds": "example. 3600 IN DS 2371 13 2 {hex64}",
            "flags": 257,
            "keyTag": 2371,
            "keyType": "ECDSAP256SHA256",
            "modifiedOn": EPOCH,
            "publicKey": "{hex86}==",
        },
        defaults={"status": "active"},
        known_as=(),
        unique=(("zoneId",),),
        rejects_in_update=prerequisites.zone_is_active,
    ),
    prerequisites.RECORD: Facts(
        computed={
            "createdOn": EPOCH,
            "modifiedOn": EPOCH,
            "proxiable": lambda context: context["type"] in _PROXIABLE,
            "content": None,
            "commentModifiedOn": None,
            "tagsModifiedOn": None,
        },
        defaults={"proxied": False, "tags": []},
        rules={
            "name": HOSTNAME,
            "priority": rules.between(0, 65535),
            "comment": rules.at_most_characters(500),
            "data.flags": lambda value: (
                None if not isinstance(value, int) or 0 <= value <= 255 else f"{value} must be from 0 to 255"
            ),
            "data.tag": rules.one_of(
                "issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"
            ),
            "data.port": rules.between(0, 65535),
        },
        inputs_rules=(_record,),
        unique=(("zoneId", "name", "type", "content"),),
        known_as=(),
        rejects_in_update=prerequisites.record,
    ),
    "cloudflare:index/certificatePack:CertificatePack": Facts(
        id=UUID,
        computed={"status": "active", "primaryCertificate": "{hex8}"},
        replaces=("certificateAuthority", "type", "validationMethod", "validityDays", "hosts"),
        rules={"hosts": rules.at_most_items(50), "hosts[]": HOSTNAME},
        inputs_rules=(_certificate,),
        rejects_in_update=prerequisites.zone_is_active,
    ),
    "cloudflare:index/healthcheck:Healthcheck": Facts(
        computed={"createdOn": EPOCH, "modifiedOn": EPOCH, "status": "healthy", "failureReason": None},
        defaults={
            "type": "HTTP",
            "interval": 60,
            "retries": 2,
            "timeout": 5,
            "consecutiveFails": 1,
            "consecutiveSuccesses": 1,
            "suspended": False,
        },
        rules={
            "name": rules.text(r"[\w-]{1,128}", "letters, digits, hyphens and underscores"),
            "type": rules.one_of("HTTP", "HTTPS", "TCP"),
            "interval": rules.between(5, 3600, "seconds"),
            "timeout": rules.between(1, 10, "seconds"),
            "retries": rules.between(0, 5),
            "httpConfig.port": rules.between(0, 65535),
            "tcpConfig.port": rules.between(0, 65535),
            "httpConfig.method": rules.one_of("GET", "HEAD"),
        },
        unique=(("zoneId", "name"),),
        known_as=(),
    ),
    "cloudflare:index/emailSendingSubdomain:EmailSendingSubdomain": Facts(
        # Cloudflare adds the DNS records for mail to the zone; see …/api/resources/email_sending/.
        computed={
            "created": EPOCH,
            "modified": EPOCH,
            "dkimSelector": "cf-bounce",
            "enabled": True,
            "returnPathDomain": "cf-bounce.{name}",
            "tag": "{hex32}",
        },
        replaces=("name",),
        rules={"name": HOSTNAME},
        rejects_in_update=prerequisites.zone_is_active,
        unique=(("zoneId", "name"),),
        known_as=(),
    ),
    "cloudflare:index/hostnameTlsSetting:HostnameTlsSetting": Facts(
        id="{settingId}",
        computed={"status": "active", "createdAt": EPOCH, "updatedAt": EPOCH},
        replaces=("settingId", "hostname"),
        rules={"hostname": HOSTNAME},
        inputs_rules=(_hostname_tls,),
        known_as=(),
        scope="{zoneId}/{hostname}",
        unique=(("settingId",),),
    ),
    "cloudflare:index/ruleset:Ruleset": Facts(
        computed={"version": "1", "lastUpdated": EPOCH},
        replaces=("kind", "phase"),
        inputs_rules=(_one_owner,),
        # A zone or account has one entry point ruleset for each phase.
        unique=(("zoneId", "kind", "phase"),),
        known_as=(),
    ),
}
