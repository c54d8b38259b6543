"""The platform as one program: settings -> topology -> components -> outputs."""

from __future__ import annotations

from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG

from components.platform import Platform
from model.configuration import ConfigurationError, load
from model.drill_reports import reports_in
from model.topology import Topology

try:
    # The language host passes the configuration in the environment; the Automation API gives it to the SDK only.
    settings = load({**pulumi.runtime.get_config_env(), **CONFIG.get()}, pulumi.get_stack())
except ConfigurationError as error:
    raise pulumi.RunError(str(error)) from None

drills = reports_in(Path(__file__).parent / "docs" / "drills")
platform = Platform("platform", Topology(pulumi.get_stack(), settings), drills)
for name, value in platform.results.items():
    pulumi.export(name, value)
