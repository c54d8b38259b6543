"""The platform as one program: settings -> topology -> components -> outputs."""

from __future__ import annotations

import pulumi
from pulumi.runtime.config import CONFIG

from components.platform import Platform
from model.configuration import ConfigurationError, load
from model.topology import Topology

try:
    # The language host passes the configuration in the environment; the Automation API gives it to the SDK only.
    settings = load({**pulumi.runtime.get_config_env(), **CONFIG.get()}, pulumi.get_stack())
except ConfigurationError as error:
    raise pulumi.RunError(str(error)) from None

platform = Platform("platform", Topology(pulumi.get_stack(), settings))
for name, value in platform.results.items():
    pulumi.export(name, value)
