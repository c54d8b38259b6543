"""Redundancy: the API at the edge, and the status page, which must not fail with the platform."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from policies.controls import DISCLOSURE, MONITORING, REDUNDANCY
from policies.graph import Graph, Resource
from policies.promises import load, number
from policies.rule import NotApplicable, Severity, define
from policies.views.edge import (
    ROUTE,
    VERSION,
    ZONE,
    Worker,
    alarms_unheard,
    api_workers,
    databases_of,
    domains_of,
    status_workers,
    workers,
)
from policies.views.shared import stack

HEALTH_CHECK = "cloudflare:index/healthcheck:Healthcheck"
LEAST_CREDIT = 1  # percent; less is worth nothing to a customer
# Types of bindings that depend on the platform, which the page must be able to report as down.
PLATFORM_BINDINGS = {"hyperdrive", "r2_bucket", "service", "queue", "tail_consumer"}


@define(
    "redundancy",
    "edge-answers-everywhere",
    Severity.CRITICAL,
    "The API's host name and route lead to a Cloudflare Worker",
    over=api_workers,
    promises=("RED-1", "REC-1"),
    controls=REDUNDANCY,
    remedy="restore the Worker's custom domain and route (components/api.py)",
)
def edge_answers(graph: Graph, worker: Worker) -> str | None:
    """A Worker runs in all of Cloudflare's locations, so the loss of one location does not stop it."""
    if not domains_of(graph, worker):
        return "no custom domain leads to it"
    routes = [route for route in graph.of(ROUTE) if route.text("script") == worker.name]
    if not routes:
        return "no route leads to it"
    for route in routes:
        zone = graph.target(route, "zoneId", ZONE)
        if zone is None or not route.text("pattern").split("/")[0].endswith(zone.text("name")):
            return f"its route {route.text('pattern')} is not for a name of its zone"
    return None


def deployed(graph: Graph) -> list[Worker]:
    """Workers."""
    return workers(graph)


@define(
    "redundancy",
    "deployments-are-whole",
    Severity.HIGH,
    "Every request to a Cloudflare Worker goes to a deployed version",
    over=deployed,
    promises=("RED-1", "MNT-1"),
    controls=REDUNDANCY,
    remedy="let the percentages of a deployment's versions add up to 100 (api.rollout)",
)
def deployments_whole(graph: Graph, worker: Worker) -> str | None:
    """If the percentages of the versions add up to less than 100, the other requests fail."""
    if not worker.deployments:
        return "no deployment names its script"
    for deployment in worker.deployments:
        shares = [one.number("percentage") or 0 for one in deployment.items("versions")]
        if sum(shares) != 100:
            return f"the percentages of {deployment.name} add up to {sum(shares):g}; 100 is expected"
        if worker.version not in graph.targets(deployment, "versions", VERSION):
            return f"{deployment.name} does not deploy its newest version"
        idle = [one for one in deployment.items("versions") if not one.number("percentage")]
        if any(one.known("versionId") and one.text("versionId") in worker.version.identities for one in idle):
            return f"{deployment.name} sends no requests to its newest version"
    return None


def health_checks(graph: Graph) -> list[Resource]:
    """Health checks from outside."""
    return graph.of(HEALTH_CHECK)


@define(
    "redundancy",
    "api-is-asked-from-outside",
    Severity.HIGH,
    "The API's health is checked every minute from several regions",
    over=health_checks,
    promises=("SLA-1", "STA-2", "RED-1", "REC-1"),
    controls=MONITORING,
    remedy="restore the health check (components/api.py)",
)
def api_asked(graph: Graph, check: Resource) -> str | None:
    """Without checks from outside an outage goes unnoticed. One region alone may have a network problem of its own."""
    if check.read("suspended") is True:
        return "it is suspended"
    regions = set(check.words("checkRegions"))
    if len(regions) < number("SLA-1", "regions"):
        return f"it checks from {len(regions)} regions; {number('SLA-1', 'regions'):g} are expected"
    interval = check.number("interval") or 0
    if not 0 < interval <= number("STA-2", "refresh_seconds"):
        return f"it checks every {interval:g} s; {number('STA-2', 'refresh_seconds'):g} s at most are expected"
    if check.text("type") != "HTTPS" or check.text("httpConfig.path") != "/health":
        return "it does not request /health over HTTPS"
    return _tells(check) or _asks_api(graph, check)


def _tells(check: Resource) -> str | None:
    """Return why a health check does not report an outage in time."""
    codes = check.words("httpConfig.expectedCodes")
    if not codes or not all(code.startswith("2") for code in codes):
        return f"it accepts the status codes {', '.join(codes) or '(any)'}; 2xx is expected"
    seconds = (check.number("consecutiveFails") or 1) * (check.number("interval") or 0)
    if seconds > (most := number("RED-2", "notice_minutes") * 60):
        return f"it reports an outage after {seconds:g} s; {most:g} s at most are expected"
    return None


def _asks_api(graph: Graph, check: Resource) -> str | None:
    address = check.text("address")
    names = {domain.text("hostname") for worker in api_workers(graph) for domain in domains_of(graph, worker)}
    return None if address in names else f"it checks {address}, which is not a name of the API"


@define(
    "redundancy",
    "status-page-stands-alone",
    Severity.CRITICAL,
    "The status page does not depend on any component that it reports on",
    over=status_workers,
    promises=("STA-1", "STA-2"),
    controls=REDUNDANCY,
    remedy="give the page its own zone and database, and no binding to the platform (components/status_page.py)",
)
def status_stands_alone(graph: Graph, worker: Worker) -> str | None:
    """A page that fails with the platform cannot report the outage."""
    for name, binding in worker.bindings.items():
        if binding.text("type") in PLATFORM_BINDINGS:
            return f"its binding {name} depends on the platform ({binding.text('type')})"
    own = {zone.urn for domain in domains_of(graph, worker) for zone in graph.targets(domain, "zoneId", ZONE)}
    if not own:
        return "no custom domain in a zone of this stack leads to it"
    for other in api_workers(graph):
        shared = own & {
            zone.urn for domain in domains_of(graph, other) for zone in graph.targets(domain, "zoneId", ZONE)
        }
        if shared:
            return "it is in the API's zone"
    databases = {one.urn for one in databases_of(graph, worker)}
    for other in workers(graph):
        if other.urn != worker.urn and databases & {one.urn for one in databases_of(graph, other)}:
            return f"it shares its database with {other.label}"
    return None


@define(
    "redundancy",
    "status-page-probes",
    Severity.HIGH,
    "The status page checks the API's health every minute and stores the result",
    over=status_workers,
    promises=("STA-1", "STA-2", "SLA-2"),
    controls=MONITORING,
    remedy="restore the cron trigger, HEALTH_URL and DB of the status Worker (components/status_page.py)",
)
def status_probes(graph: Graph, worker: Worker) -> str | None:
    """Uptime is counted in minutes, and each minute needs a stored result."""
    if wrong := worker.late(number("STA-2", "refresh_seconds")):
        return wrong
    address = urlsplit(worker.text("HEALTH_URL"))
    names = {domain.text("hostname") for other in api_workers(graph) for domain in domains_of(graph, other)}
    if address.scheme != "https" or address.hostname not in names:
        return f"HEALTH_URL is {worker.text('HEALTH_URL') or 'not set'}, which is not a name of the API"
    return None if databases_of(graph, worker) else "it has no database for the results"


@define(
    "redundancy",
    "contacts-are-told",
    Severity.HIGH,
    "Customer contacts are notified by e-mail and by signed webhook",
    over=status_workers,
    promises=("STA-3", "MNT-2", "MNT-3"),
    controls=DISCLOSURE,
    remedy="restore EMAIL, SENDER, WEBHOOK_KEY and OPERATORS of the status Worker (components/status_page.py)",
)
def contacts_told(_: Graph, worker: Worker) -> str | None:
    """One channel may fail, so the page needs both, and a list of operators who may publish incidents."""
    missing = worker.lacks(EMAIL="send_email", WEBHOOK_KEY="secret_text", OPERATORS="secret_text", SENDER="plain_text")
    return missing or worker.cannot_send()


@define(
    "redundancy",
    "status-alarms-reach-two-channels",
    Severity.MEDIUM,
    "Failures of the status page itself reach operators by e-mail and by webhook",
    over=status_workers,
    promises=("STA-1", "STA-3", "SLA-2"),
    controls=MONITORING,
    remedy="name an address in alarms.emails and one in alarms.webhooks; bind them (components/status_page.py)",
)
def status_alarms(_: Graph, worker: Worker) -> str | None:
    """While probes or notifications fail, outages are neither counted nor announced until operators repair the page."""
    return alarms_unheard(worker)


@define(
    "redundancy",
    "uptime-is-counted-as-promised",
    Severity.HIGH,
    "The status page computes uptime and credits with the promised target",
    over=status_workers,
    promises=("SLA-1", "SLA-2", "SLA-3"),
    controls=DISCLOSURE,
    remedy="set uptime.targetPercent and uptime.credits to what is promised (promises.toml: SLA-1, SLA-3)",
)
def uptime_counted(_: Graph, worker: Worker) -> str | None:
    """With a lower target, a month that misses the promised one would count as met, and no credit would be due."""
    bound = worker.document("SLA")
    if not isinstance(bound, dict):
        return "it has no binding SLA"
    terms = cast("dict[str, Any]", bound)
    promised = number("SLA-1", "percent") * 1000
    target = terms.get("target")
    if not isinstance(target, int | float) or target < promised:
        return f"SLA.target is {target} thousandths of a percent; {promised:g} are promised"
    credits = cast("list[dict[str, Any]]", terms.get("credits") or [])
    if not any((one.get("below") or 0) >= promised and (one.get("credit") or 0) >= LEAST_CREDIT for one in credits):
        return f"SLA.credits has no entry of {LEAST_CREDIT} % or more for a month below {promised / 1000:g} %"
    return None


@define(
    "redundancy",
    "one-contact",
    Severity.MEDIUM,
    "The status page shows the promised contact for availability questions",
    over=status_workers,
    promises=("CON-1",),
    controls=DISCLOSURE,
    remedy="set `contact` to the figure of CON-1 (promises.toml)",
)
def one_contact(graph: Graph, worker: Worker) -> str | None:
    """Customers must reach the contact that the availability page names. Other stacks have contacts of their own."""
    environments = {api.text("ENVIRONMENT") for api in api_workers(graph)}
    if environments == {"staging"}:
        raise NotApplicable("the stack is for tests: the API's ENVIRONMENT is staging")
    promised, contact = load()["CON-1"].figure, worker.text("CONTACT")
    return None if contact == promised else f"CONTACT is {contact or 'not set'}; {promised} is promised"


@define(
    "redundancy",
    "domains-are-two",
    Severity.HIGH,
    "The platform and its status page have separate domains",
    over=stack,
    promises=("STA-1", "RED-5"),
    controls=REDUNDANCY,
    remedy="declare `domain` and `statusDomain`, in different registrable domains",
)
def domains_are_two(graph: Graph, _: Resource) -> str | None:
    """A name below the platform's domain fails with the platform's zone."""
    names = sorted(zone.text("name") for zone in graph.of(ZONE))
    if len(names) < 2:
        return f"there is {'one zone' if names else 'no zone'} only"
    for one in names:
        for other in names:
            if one != other and one.endswith(f".{other}"):
                return f"{one} is below {other}"
    return None
