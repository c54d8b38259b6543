"""Redundancy: the API at the edge, and the status page that must not fall with what it reports on."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from policies.controls import DISCLOSURE, MONITORING, REDUNDANCY
from policies.graph import Graph, Resource
from policies.promises import load, number
from policies.rule import Severity, define
from policies.views.edge import (
    ROUTE,
    VERSION,
    ZONE,
    Worker,
    api_workers,
    databases_of,
    domains_of,
    status_workers,
    workers,
)
from policies.views.shared import stack

HEALTH_CHECK = "cloudflare:index/healthcheck:Healthcheck"
LEAST_CREDIT = 1  # percent; less is none that anybody would notice
# Bindings that lead into the platform: the page must be able to say that any of it is down.
PLATFORM_BINDINGS = {"hyperdrive", "r2_bucket", "service", "queue", "tail_consumer"}


@define(
    "redundancy",
    "edge-answers-everywhere",
    Severity.CRITICAL,
    "The API's name leads to a Worker, which runs in every location",
    over=api_workers,
    promises=("RED-1", "REC-1"),
    controls=REDUNDANCY,
    remedy="restore the Worker's custom domain and route (components/api.py)",
)
def edge_answers(graph: Graph, worker: Worker) -> str | None:
    """A Worker has no location that could be lost; a name that leads elsewhere has."""
    if not domains_of(graph, worker):
        return "no custom domain leads to it"
    routes = [route for route in graph.of(ROUTE) if route.text("script") == worker.name]
    if not routes:
        return "no route leads to it"
    for route in routes:
        zone = graph.target(route, "zoneId", ZONE)
        if zone is None or not route.text("pattern").split("/")[0].endswith(zone.text("name")):
            return f"its route {route.text('pattern')} is about no name of its zone"
    return None


def deployed(graph: Graph) -> list[Worker]:
    """Workers."""
    return workers(graph)


@define(
    "redundancy",
    "deployments-are-whole",
    Severity.HIGH,
    "Every request to a Worker is given to a version",
    over=deployed,
    promises=("RED-1", "MNT-1"),
    controls=REDUNDANCY,
    remedy="let the shares of a deployment's versions add up to 100 (api.rollout)",
)
def deployments_whole(graph: Graph, worker: Worker) -> str | None:
    """A share that nobody serves is an outage for that share; so is a version that is not deployed."""
    if not worker.deployments:
        return "no deployment names its script"
    for deployment in worker.deployments:
        shares = [one.number("percentage") or 0 for one in deployment.items("versions")]
        if sum(shares) != 100:
            return f"the shares of {deployment.name} add up to {sum(shares):g} %"
        if worker.version not in graph.targets(deployment, "versions", VERSION):
            return f"{deployment.name} does not deploy its newest version"
        idle = [one for one in deployment.items("versions") if not one.number("percentage")]
        if any(one.known("versionId") and one.text("versionId") in worker.version.identities for one in idle):
            return f"{deployment.name} gives nothing to its newest version"
    return None


def health_checks(graph: Graph) -> list[Resource]:
    """Health checks from outside."""
    return graph.of(HEALTH_CHECK)


@define(
    "redundancy",
    "api-is-asked-from-outside",
    Severity.HIGH,
    "The API's health is asked every minute from several parts of the world",
    over=health_checks,
    promises=("SLA-1", "STA-2", "RED-1", "REC-1"),
    controls=MONITORING,
    remedy="restore the health check (components/api.py)",
)
def api_asked(graph: Graph, check: Resource) -> str | None:
    """One region's own trouble is not an outage, and what nobody asks is never known to be down."""
    if check.read("suspended") is True:
        return "it is suspended"
    regions = set(check.words("checkRegions"))
    if len(regions) < number("SLA-1", "regions"):
        return f"it asks from {len(regions)} regions; {number('SLA-1', 'regions'):g} are expected"
    interval = check.number("interval") or 0
    if not 0 < interval <= number("STA-2", "refresh_seconds"):
        return f"it asks every {interval:g} s; {number('STA-2', 'refresh_seconds'):g} s at most are expected"
    if check.text("type") != "HTTPS" or check.text("httpConfig.path") != "/health":
        return "it does not ask /health over HTTPS"
    return _tells(check) or _asks_api(graph, check)


def _tells(check: Resource) -> str | None:
    """What is wrong with when a health check says that something is wrong."""
    codes = check.words("httpConfig.expectedCodes")
    if not codes or not all(code.startswith("2") for code in codes):
        return f"it takes {', '.join(codes) or 'any code'} for an answer; 2xx is expected"
    seconds = (check.number("consecutiveFails") or 1) * (check.number("interval") or 0)
    if seconds > (most := number("RED-2", "notice_minutes") * 60):
        return f"it says nothing for {seconds:g} s; {most:g} s at most are expected"
    return None


def _asks_api(graph: Graph, check: Resource) -> str | None:
    address = check.text("address")
    names = {domain.text("hostname") for worker in api_workers(graph) for domain in domains_of(graph, worker)}
    return None if address in names else f"it asks {address}, which is no name of the API's Worker"


@define(
    "redundancy",
    "status-page-stands-alone",
    Severity.CRITICAL,
    "The status page needs nothing of what it reports on",
    over=status_workers,
    promises=("STA-1", "STA-2"),
    controls=REDUNDANCY,
    remedy="give the page its own zone and database, and no binding into the platform (components/status_page.py)",
)
def status_stands_alone(graph: Graph, worker: Worker) -> str | None:
    """A page that falls with the platform is silent exactly when it is needed."""
    for name, binding in worker.bindings.items():
        if binding.text("type") in PLATFORM_BINDINGS:
            return f"its binding {name} leads into the platform ({binding.text('type')})"
    own = {zone.urn for domain in domains_of(graph, worker) for zone in graph.targets(domain, "zoneId", ZONE)}
    if not own:
        return "no custom domain in a zone of this stack leads to it"
    for other in api_workers(graph):
        shared = own & {
            zone.urn for domain in domains_of(graph, other) for zone in graph.targets(domain, "zoneId", ZONE)
        }
        if shared:
            return "it answers in the API's own zone"
    databases = {one.urn for one in databases_of(graph, worker)}
    for other in workers(graph):
        if other.urn != worker.urn and databases & {one.urn for one in databases_of(graph, other)}:
            return f"it shares its database with {other.label}"
    return None


@define(
    "redundancy",
    "status-page-probes",
    Severity.HIGH,
    "The status page asks the API's health every minute and keeps what it saw",
    over=status_workers,
    promises=("STA-1", "STA-2", "SLA-2"),
    controls=MONITORING,
    remedy="restore the cron trigger, HEALTH_URL and DB of the status Worker (components/status_page.py)",
)
def status_probes(graph: Graph, worker: Worker) -> str | None:
    """Uptime is counted in minutes, each of which somebody must have looked at."""
    gap, most = worker.gap_seconds, number("STA-2", "refresh_seconds")
    if gap is None or gap > most:
        return f"it runs {'never by itself' if gap is None else f'every {gap:g} s'}; {most:g} s at most are expected"
    address = urlsplit(worker.text("HEALTH_URL"))
    names = {domain.text("hostname") for other in api_workers(graph) for domain in domains_of(graph, other)}
    if address.scheme != "https" or address.hostname not in names:
        return f"HEALTH_URL is {worker.text('HEALTH_URL') or 'not set'}, which is no name of the API's Worker"
    return None if databases_of(graph, worker) else "it has no database to keep what it saw"


@define(
    "redundancy",
    "contacts-are-told",
    Severity.HIGH,
    "Customers' contacts are told by e-mail and by signed webhook",
    over=status_workers,
    promises=("STA-3", "MNT-2", "MNT-3"),
    controls=DISCLOSURE,
    remedy="restore EMAIL, SENDER, WEBHOOK_KEY and OPERATORS of the status Worker (components/status_page.py)",
)
def contacts_told(_: Graph, worker: Worker) -> str | None:
    """Two channels, and operators who may speak at any moment."""
    needed = {"EMAIL": "send_email", "WEBHOOK_KEY": "secret_text", "OPERATORS": "secret_text", "SENDER": "plain_text"}
    for name, type in needed.items():
        if name not in worker.bindings or worker.bindings[name].text("type") != type:
            return f"it has no binding {name} ({type})"
    senders = worker.bindings["EMAIL"].words("allowedSenderAddresses")
    return None if worker.text("SENDER") in senders else f"it may not send as {worker.text('SENDER')}"


@define(
    "redundancy",
    "uptime-is-counted-as-promised",
    Severity.HIGH,
    "The page counts against the promised uptime, and knows the credits",
    over=status_workers,
    promises=("SLA-1", "SLA-2", "SLA-3"),
    controls=DISCLOSURE,
    remedy="set uptime.targetPercent and uptime.credits to what is promised (promises.toml: SLA-1, SLA-3)",
)
def uptime_counted(_: Graph, worker: Worker) -> str | None:
    """A lower target would call a missed month good; a credit above the target would never be given."""
    bound = worker.document("SLA")
    if not isinstance(bound, dict):
        return "it has no binding SLA"
    terms = cast("dict[str, Any]", bound)
    promised = number("SLA-1", "percent") * 1000
    if terms.get("target") != promised:
        return f"SLA.target is {terms.get('target')} thousandths of a percent; {promised:g} are promised"
    credits = cast("list[dict[str, Any]]", terms.get("credits") or [])
    if not any(one.get("below") == promised and (one.get("credit") or 0) >= LEAST_CREDIT for one in credits):
        return f"no credit is due for a month just below {promised / 1000:g} %"
    return None


@define(
    "redundancy",
    "one-contact",
    Severity.MEDIUM,
    "The contact for availability is the promised one",
    over=status_workers,
    promises=("CON-1",),
    controls=DISCLOSURE,
    remedy="set `contact` to CON-1's figure (promises.toml)",
)
def one_contact(_: Graph, worker: Worker) -> str | None:
    """Whoever asks must reach somebody."""
    promised, contact = load()["CON-1"].figure, worker.text("CONTACT")
    return None if contact == promised else f"CONTACT is {contact or 'not set'}; {promised} is promised"


@define(
    "redundancy",
    "domains-are-two",
    Severity.HIGH,
    "The platform and its status page have a domain each",
    over=stack,
    promises=("STA-1", "RED-5"),
    controls=REDUNDANCY,
    remedy="declare `domain` and `statusDomain`, in different registrable domains",
)
def domains_are_two(graph: Graph, _: Resource) -> str | None:
    """A name below the platform's own goes with the platform's zone."""
    names = sorted(zone.text("name") for zone in graph.of(ZONE))
    if len(names) < 2:
        return f"there is {'one zone' if names else 'no zone'} only"
    for one in names:
        for other in names:
            if one != other and one.endswith(f".{other}"):
                return f"{one} lies below {other}"
    return None
