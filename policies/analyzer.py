# ruff: noqa: ARG002, N802 (the methods are the protocol's)
"""The server of a policy pack: Pulumi's `Analyzer` service on a free loopback port.

The policy SDK is not used: it decodes the whole stack for each rule, and reports a mandatory rule as advisory if it
reads an unknown value (docs/adr/0016).
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any, Final, NoReturn

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2

from console.errors import InputError
from policies import configuration, exemptions
from policies.configuration import Level, Strictness
from policies.exemptions import Exemption
from policies.judging import Finding, Judgement, judge
from policies.packs import PACKS, VERSION, rules_of
from policies.rule import Outcome, Rule, Severity
from policies.sources import from_request

MESSAGE_SIZE: Final = 400 * 1024 * 1024  # what the engine itself allows
POLL_SECONDS: Final = 2.0  # how often it checks whether the engine still runs
EXEMPTIONS: Final = "exemptions"  # the policy name of problems with exemptions
_LEVELS: Final = {
    Level.ADVISORY: analyzer_pb2.ADVISORY,
    Level.MANDATORY: analyzer_pb2.MANDATORY,
    Level.DISABLED: analyzer_pb2.DISABLED,
}
_SEVERITIES: Final = {
    Severity.CRITICAL: analyzer_pb2.POLICY_SEVERITY_CRITICAL,
    Severity.HIGH: analyzer_pb2.POLICY_SEVERITY_HIGH,
    Severity.MEDIUM: analyzer_pb2.POLICY_SEVERITY_MEDIUM,
}


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """One pack."""

    def __init__(self, pack: str, *, preview: bool) -> None:
        self._pack: str = pack
        self._rules: dict[str, Rule] = {rule.id: rule for rule in rules_of(pack)}
        self._preview: bool = preview
        self._strictness: dict[str, Strictness] = {}
        self._exemptions: list[Exemption] | None = None
        self._inputs: dict[str, Any] = {}
        self.ended: threading.Event = threading.Event()

    def Handshake(
        self, request: analyzer_pb2.AnalyzerHandshakeRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzerHandshakeResponse:
        """Accept the engine's handshake; nothing in it is needed."""
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """The pack's version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetAnalyzerInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> analyzer_pb2.AnalyzerInfo:
        """The pack's rules and the schema of their configuration."""
        info = analyzer_pb2.AnalyzerInfo(
            name=self._pack,
            displayName=self._pack.capitalize(),
            description=PACKS[self._pack],
            version=VERSION,
            supportsConfig=True,
        )
        for rule in self._rules.values():
            described = info.policies.add(
                name=rule.id,
                displayName=rule.title,
                description=rule.title,
                enforcementLevel=analyzer_pb2.MANDATORY,
                severity=_SEVERITIES[rule.severity],
                policy_type=analyzer_pb2.POLICY_TYPE_STACK,
                remediation_steps=rule.remedy,
                tags=rule.promises,
            )
            json_format.ParseDict(dict(configuration.SCHEMA), described.configSchema.properties)
        return info

    def Configure(
        self, request: analyzer_pb2.ConfigureAnalyzerRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Set the level of each rule for the stack. For an invalid value, the call fails and names the key."""
        levels = {number: level for level, number in _LEVELS.items()}
        document: dict[str, object] = {}
        for name, given in request.policyConfig.items():
            level = levels.get(given.enforcementLevel, Level.MANDATORY)
            document[name] = {"enforcementLevel": level, **json_format.MessageToDict(given.properties)}
        try:
            self._strictness = configuration.parse(document, self._rules, self._pack)
        except InputError as error:
            self._refuse(context, error)
        return empty_pb2.Empty()

    def ConfigureStack(
        self, request: analyzer_pb2.AnalyzerStackConfigureRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzerStackConfigureResponse:
        """Read the exemptions before the first step."""
        self._preview = self._preview or request.dry_run
        self._read_exemptions(context)
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Analyze(
        self, request: analyzer_pb2.AnalyzeRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzeResponse:
        """Keep the resource's inputs for `AnalyzeStack`, which judges it."""
        self._inputs[request.urn] = request.properties
        return analyzer_pb2.AnalyzeResponse()

    def Remediate(
        self, request: analyzer_pb2.AnalyzeRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.RemediateResponse:
        """Return nothing: operators correct findings in the program."""
        return analyzer_pb2.RemediateResponse()

    def AnalyzeStack(
        self, request: analyzer_pb2.AnalyzeStackRequest, context: grpc.ServicerContext
    ) -> analyzer_pb2.AnalyzeResponse:
        """Judge the stack."""
        excused = self._read_exemptions(context)
        graph = from_request(request.resources, self._inputs).on(_today())
        try:
            judgement = judge(graph, self._rules.values(), self._strictness, excused, final=not self._preview)
        except InputError as error:
            self._refuse(context, error)
        return self._response(judgement)

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Stop the server."""
        self.ended.set()
        return empty_pb2.Empty()

    def _read_exemptions(self, context: grpc.ServicerContext) -> list[Exemption]:
        if self._exemptions is None:
            try:
                known = {rule.id for pack in PACKS for rule in rules_of(pack)}
                self._exemptions = exemptions.load(known, _today())
            except InputError as error:
                self._refuse(context, error)
        return self._exemptions

    def _refuse(self, context: grpc.ServicerContext, error: InputError) -> NoReturn:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    def _response(self, judgement: Judgement) -> analyzer_pb2.AnalyzeResponse:
        response = analyzer_pb2.AnalyzeResponse()
        for finding in judgement.findings:
            verdict = finding.verdict
            if finding.notable:
                response.diagnostics.append(self._diagnostic(finding))
            elif verdict.outcome is Outcome.NOT_APPLICABLE:
                response.not_applicable.add(policy_name=verdict.rule.id, reason=f"{verdict.label}: {verdict.message}")
        for problem in judgement.problems:
            response.diagnostics.add(
                policyName=EXEMPTIONS,
                policyPackName=self._pack,
                policyPackVersion=VERSION,
                description="Exemptions are valid and in use",
                message=problem,
                enforcementLevel=analyzer_pb2.MANDATORY,
                severity=analyzer_pb2.POLICY_SEVERITY_HIGH,
            )
        return response

    def _diagnostic(self, finding: Finding) -> analyzer_pb2.AnalyzeDiagnostic:
        rule = finding.verdict.rule
        return analyzer_pb2.AnalyzeDiagnostic(
            policyName=rule.id,
            policyPackName=self._pack,
            policyPackVersion=VERSION,
            description=rule.title,
            message=explain(finding),
            urn=finding.verdict.urn,
            enforcementLevel=analyzer_pb2.MANDATORY if finding.stops else analyzer_pb2.ADVISORY,
            severity=_SEVERITIES[rule.severity],
        )


def _today() -> date:
    """Return the date on which exemptions must be valid, and drills recent."""
    return datetime.now(UTC).date()


def explain(finding: Finding) -> str:
    """Return a finding's message: the resource, the problem, and the remedy or the exemption."""
    verdict = finding.verdict
    if finding.exemption is not None:
        excuse = finding.exemption
        return f"{verdict.label}: {verdict.message}. Excused until {excuse.expires} by {excuse.owner}: {excuse.reason}"
    if verdict.outcome is Outcome.UNDETERMINED:
        then = "it counts as a failure" if finding.fails else "it is judged again after the update"
        return f"{verdict.label}: undetermined: {verdict.message}; {then}"
    return f"{verdict.label}: {verdict.message}. Remedy: {verdict.rule.remedy}"


def serve(pack: str) -> None:
    """Serve a pack until the engine cancels it or ends; called by a pack's `__main__.py`."""
    analyzer = Analyzer(pack, preview=os.environ.get("PULUMI_DRY_RUN", "").lower() == "true")
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", MESSAGE_SIZE),
        ("grpc.max_send_message_length", MESSAGE_SIZE),
    ]
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    analyzer_pb2_grpc.add_AnalyzerServicer_to_server(analyzer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    engine = os.getppid()
    try:
        while not analyzer.ended.wait(POLL_SECONDS) and os.getppid() == engine:
            pass
    except KeyboardInterrupt:
        pass
    server.stop(grace=1).wait()  # the cancelling call still gets its response
