"""The document that EC2 hands to cloud-init."""

import base64
import gzip

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stacks import member, members, stack
from machines import user_data
from machines.files import files_for
from machines.user_data import UserDataTooLargeError, render
from model.topology import Topology

TOPOLOGIES = st.builds(
    lambda name, voters, coordinators, groups, workers, gateways: stack(
        name,
        consensus={"members": voters},
        coordinator={"members": coordinators},
        workers={"groups": groups, "members": workers},
        gateways={"members": gateways},
    ),
    name=st.just("staging"),  # production allows no groups of two
    voters=st.sampled_from([3, 5, 7]),
    coordinators=st.integers(2, 3),
    groups=st.integers(1, 64),
    workers=st.integers(2, 3),
    gateways=st.integers(2, 3),
)


def document(encoded: str) -> dict:
    text = gzip.decompress(base64.b64decode(encoded)).decode()
    assert text.startswith("#cloud-config\n")
    return yaml.load(text, Loader=yaml.CSafeLoader)


@given(TOPOLOGIES)
@settings(max_examples=8)
def test_every_member_of_any_platform_gets_all_its_files(topology: Topology):
    for _, one in members(topology):
        written = document(render(topology, one))
        assert written["hostname"] == one.name
        files = {entry["path"]: entry["content"] for entry in written["write_files"]}
        assert files == {file.path: file.content for file in files_for(topology, one)}
        assert written["runcmd"] == [["/usr/local/sbin/backbuild-install"]]
        assert f'MEMBER="{one.name}"' in files["/etc/default/backbuild"]


def test_scripts_are_executable_and_nothing_else_is():
    topology = stack("prod")
    for _, one in members(topology):
        for file in files_for(topology, one):
            script = file.content.startswith("#!")
            sourced = file.content.startswith("# shellcheck shell=sh")
            assert (file.mode == "0755") == (script or sourced), file.path


def test_the_largest_platform_fits_into_what_ec2_accepts():
    topology = stack("prod", consensus={"members": 7}, workers={"groups": 64})
    for _, one in members(topology):
        assert len(base64.b64decode(render(topology, one))) <= 16 * 1024


def test_the_same_topology_gives_the_same_bytes():
    assert render(stack("prod"), member(stack("prod"), "coordinator-1")) == render(
        stack("prod"), member(stack("prod"), "coordinator-1")
    )


def test_growing_the_platform_changes_no_machine_that_is_there():
    before, after = stack("prod"), stack("prod", workers={"groups": 64})
    for _, one in members(before):
        assert render(before, one) == render(after, member(after, one.name))


def test_too_much_user_data_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch):
    topology = stack("prod")
    gateway = member(topology, "gateway-0")
    size = len(base64.b64decode(render(topology, gateway)))
    monkeypatch.setattr(user_data, "LIMIT_BYTES", size - 1)
    expected = rf"gateway-0 is {size} bytes compressed .*accepts {size - 1}; remedy: "
    with pytest.raises(UserDataTooLargeError, match=expected):
        render(topology, gateway)
