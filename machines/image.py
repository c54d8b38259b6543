"""The image that machines boot from: a component for EC2 Image Builder that installs the packages of all roles.

The build uses the same scripts and lists of packages as the first boot of a machine with a plain Debian image. A
machine that boots from the built image has all packages, and downloads only its own files and secrets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from machines.files import HELD_VERSIONS, environment, held_of, package_values, packages_of, services_of, template_of
from model.topology import Role, Topology

FOLDER = "/var/lib/backbuild-image"  # during the build only
PINS = "/etc/apt/preferences.d/backbuild"  # during the build only
CHECK = "/usr/local/sbin/backbuild-image-check"  # stays in the image
BUILD_SECONDS = 3600  # about 400 MB of packages take minutes; backbuild-install tries a failing mirror six times
CHECK_SECONDS = 300

_REPOSITORIES = "/usr/local/lib/backbuild/repositories"
_INSTALL = "/usr/local/sbin/backbuild-install"
_VENDORS = "/usr/local/lib/backbuild/vendors"
# Prevents PostgreSQL's package from creating a cluster, of which every machine with the image would have a copy.
_NO_CLUSTER = "/etc/postgresql-common/createcluster.d/backbuild.conf"
# One role for each different set of packages: coordinators and Citus workers have the same packages.
_ROLES = tuple({(packages_of(role), held_of(role), template_of(role, _VENDORS)): role for role in Role}.values())
_PATHS = {"FOLDER": FOLDER, "PINS": PINS, "INSTALL": _INSTALL, "CHECK": CHECK}


def component(topology: Topology, versions: Mapping[str, str] = HELD_VERSIONS) -> str:
    """Return the component's YAML document. `versions`: the exact versions of packages that the image must have."""
    files = _files(topology, versions)
    values: dict[str, object] = {
        "name": f"{topology.prefix}-packages",
        "BUILD_SECONDS": BUILD_SECONDS,
        "CHECK_SECONDS": CHECK_SECONDS,
        "bake": _render("image/bake", files=files, folders=_folders(files), roles=_ROLES, **_PATHS),
        "CHECK": CHECK,
    }
    return _render("image/component.yml", **values)


def user_data(topology: Topology) -> str:
    """Return the user data of the instances that build and test the image."""
    return _render(
        "image/user-data",
        region=topology.settings.database.region,
        repositories=_render(template_of(Role.CONSENSUS, _REPOSITORIES)),
    )


def version_of(*parts: str) -> str:
    """Return a semantic version that is a hash of the parts.

    Image Builder does not allow a changed document under an existing version, and its numbers must be less than 2^30.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"1.0.{int(digest[:7], 16)}"


def _files(topology: Topology, versions: Mapping[str, str]) -> dict[str, str]:
    """Return the files that the build script writes before it installs packages: path to content."""
    database = package_values(Role.COORDINATOR)
    pins = "\n".join(
        f"Package: {package}\nPin: version {version}\nPin-Priority: 1001\n" for package, version in versions.items()
    )  # a priority above 1000 also replaces a newer version
    files = {
        _REPOSITORIES: _render(template_of(Role.CONSENSUS, _REPOSITORIES)),
        _INSTALL: _render(template_of(Role.CONSENSUS, _INSTALL)),
        _NO_CLUSTER: _render(template_of(Role.COORDINATOR, _NO_CLUSTER), **database),
        CHECK: _check(versions),
        PINS: pins,
    }
    for role in _ROLES:
        values = {**package_values(role), "role": role, "region": topology.settings.database.region}
        files[f"{FOLDER}/{role}/environment"] = _render("image/environment", **values)
        files[f"{FOLDER}/{role}/vendors"] = _render(template_of(role, _VENDORS), **values)
    return files


def _folders(files: Mapping[str, str]) -> list[str]:
    return sorted({str(PurePosixPath(path).parent) for path in files})


def _check(versions: Mapping[str, str]) -> str:
    return _render(
        "image/check",
        packages=sorted({package for role in Role for package in packages_of(role)}),
        held=sorted({package for role in Role for package in held_of(role)}),
        units=sorted({unit for role in Role for unit in services_of(role)}),
        versions=versions,
    )


def _render(template: str, **values: object) -> str:
    return environment().get_template(template).render(values)
