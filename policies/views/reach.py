"""Reach: who may connect to which port of machines, interface endpoints and the image builder.

Computed from ingress rules of every kind. Network ACLs are not part of it; `acl_weakness` demands that they allow all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from policies.graph import Graph, Node, Resource, Undetermined, Unknown, Value
from policies.views.machines import INSTANCE, SUBNET
from policies.views.shared import once

VPC: Final = "aws:ec2/vpc:Vpc"
GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP: Final = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
INGRESS_RULE: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS_RULE: Final = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
OLD_RULE: Final = "aws:ec2/securityGroupRule:SecurityGroupRule"
VPC_ENDPOINT: Final = "aws:ec2/vpcEndpoint:VpcEndpoint"
BUILDER: Final = "aws:imagebuilder/infrastructureConfiguration:InfrastructureConfiguration"
INTERFACE: Final = "aws:ec2/networkInterface:NetworkInterface"
INTERFACE_ATTACHMENT: Final = "aws:ec2/networkInterfaceAttachment:NetworkInterfaceAttachment"
# Resources that add a security group to a network interface or an endpoint of another resource.
ASSOCIATIONS: Final = (
    "aws:ec2/networkInterfaceSecurityGroupAttachment:NetworkInterfaceSecurityGroupAttachment",
    "aws:ec2/securityGroupAssociation:SecurityGroupAssociation",
)
ACL: Final = "aws:ec2/networkAcl:NetworkAcl"
DEFAULT_ACL: Final = "aws:ec2/defaultNetworkAcl:DefaultNetworkAcl"
ACL_RULE: Final = "aws:ec2/networkAclRule:NetworkAclRule"
ACL_ASSOCIATION: Final = "aws:ec2/networkAclAssociation:NetworkAclAssociation"

ENDPOINTS: Final = "endpoints"
IMAGE_BUILDER: Final = "builder"
# Resources in which these properties list the groups of a machine, an endpoint, or the image builder.
GROUPS_OF: Final = {INSTANCE: "vpcSecurityGroupIds", VPC_ENDPOINT: "securityGroupIds", BUILDER: "securityGroupIds"}

Span: TypeAlias = tuple[str, float | None, float | None]
"""Protocol, first and last port."""


@dataclass(frozen=True)
class Admitted:
    """One source that a group admits; `rule` is the label of the rule or of the group that contains it."""

    source: str
    protocol: str
    first: float | None
    last: float | None
    rule: str

    @property
    def ports(self) -> str:
        """`tcp 5432`, `tcp 1 to 65535` or `every port`."""
        if self.protocol in {"-1", "all"}:
            return "every port"
        same = self.first == self.last
        figures = f"{self.first or 0:g}" if same else f"{self.first or 0:g} to {self.last or 0:g}"
        return f"{self.protocol} {figures}"

    @property
    def port(self) -> int | None:
        """The port, if it is exactly one, over TCP."""
        one = self.protocol in {"tcp", "6"} and self.first is not None and self.first == self.last
        return int(self.first) if one and self.first is not None else None


@dataclass
class Guarded:
    """A security group: the roles of the machines and other resources in it, and what it admits."""

    group: Resource
    roles: set[str] = field(default_factory=set[str])
    in_use: bool = False
    """Whether a machine, an interface endpoint or the image builder is in it."""
    admitted: list[Admitted] = field(default_factory=list[Admitted])
    unclear: list[Undetermined] = field(default_factory=list[Undetermined])
    """Its rules that cannot be read."""

    @property
    def urn(self) -> str:
        """The URN of the group."""
        return self.group.urn

    @property
    def label(self) -> str:
        """The label of the group."""
        return self.group.label


@dataclass(frozen=True)
class Reach:
    """All security groups.

    `foreign`: resources with a group or network interface that this stack does not declare, and its text.
    `unclear`: resources and rules whose group is unknown.
    """

    groups: tuple[Guarded, ...]
    foreign: tuple[tuple[Resource, str], ...]
    unclear: tuple[Undetermined, ...]


@once
def reach(graph: Graph) -> Reach:
    """Return what each security group admits."""
    guarded = {one.urn: Guarded(one) for one in graph.everything(GROUP, DEFAULT_GROUP)}
    foreign: list[tuple[Resource, str]] = []
    unclear: list[Undetermined] = []
    for default in graph.everything(DEFAULT_GROUP):  # AWS puts machines without a group into it
        guarded[default.urn].in_use = True
    for one in (*graph.resources, *graph.beside):
        try:
            _use(graph, one, guarded)
            foreign += [(one, text) for text in _foreign(graph, one)]
        except Undetermined as unknown:
            unclear.append(unknown)
    for rule in graph.everything(INGRESS_RULE, OLD_RULE):
        try:
            groups = _groups_of_rule(graph, rule)
        except Undetermined as unknown:
            unclear.append(unknown)
            continue
        of_rule = _of_rule if rule.type == INGRESS_RULE else _of_old_rule
        for group in groups:
            _admit(guarded, guarded[group.urn], rule.label, lambda rule=rule, read=of_rule: read(graph, rule))
    for one in guarded.values():
        _admit(guarded, one, one.label, lambda group=one.group: _inside(graph, group))
    return Reach(tuple(guarded.values()), tuple(foreign), tuple(unclear))


def _admit(
    guarded: dict[str, Guarded], to: Guarded, rule: str, read: Callable[[], Iterator[tuple[Resource | str, Span]]]
) -> None:
    """Add what a rule admits to a group."""
    try:
        to.admitted += [
            Admitted(name, *span, rule) for source, span in read() for name in _names(guarded, to.group, source)
        ]
    except Undetermined as unknown:
        to.unclear.append(unknown)


# -- who is in a group


def _use(graph: Graph, one: Resource, guarded: dict[str, Guarded]) -> None:
    """Add a resource to the groups that its inputs refer to."""
    if one.type in {GROUP, DEFAULT_GROUP, INGRESS_RULE, EGRESS_RULE, OLD_RULE}:
        return
    ids = {identity for other in guarded.values() for identity in other.group.identities}
    for path in one.inputs:
        depends = set(one.property_dependencies.get(path, ()))
        if depends & guarded.keys() or any(leaf in ids for leaf in _texts(one.inputs[path])):
            role, ours = _role(graph, one)
            for group in graph.targets(one, path, GROUP, DEFAULT_GROUP):
                guarded[group.urn].roles.add(role)
                guarded[group.urn].in_use |= ours


def _role(graph: Graph, one: Resource) -> tuple[str, bool]:
    """Return the role of a resource in a group, and whether it is one that this view covers."""
    if one.type == INSTANCE:
        role = one.text("tags.Role") if one not in graph.beside else ""
        return (role, True) if role else (one.label, False)
    if one.type == VPC_ENDPOINT:
        return ENDPOINTS, True
    if one.type == BUILDER:
        return IMAGE_BUILDER, True
    return one.label, one.type in ASSOCIATIONS or (one.type == INTERFACE and _attached(graph, one))


def _attached(graph: Graph, interface: Resource) -> bool:
    """Whether a network interface is attached to an instance."""
    by_instance = any(
        interface in graph.targets(one, path, INTERFACE)
        for one in graph.everything(INSTANCE)
        for path in ("networkInterfaces", "primaryNetworkInterface")
        if path in one.inputs
    )
    attachments = graph.everything(INTERFACE_ATTACHMENT)
    by_attachment = any(interface in graph.targets(one, "networkInterfaceId", INTERFACE) for one in attachments)
    return by_instance or by_attachment or bool(interface.inputs.get("attachments"))


def _foreign(graph: Graph, one: Resource) -> Iterator[str]:
    """Return the groups and network interfaces of a resource that this stack does not declare."""
    yield from _foreign_interfaces(graph, one)
    path = GROUPS_OF.get(one.type)
    if path is None or not _role(graph, one)[1] or (one.type == VPC_ENDPOINT and not _is_interface(one)):
        return
    value = one.inputs.get(path)
    yield from (f"the group {text}" for text in _texts(value) if text not in _identities(graph, GROUP, DEFAULT_GROUP))
    if not value and not graph.everything(DEFAULT_GROUP):
        yield "the default group of its VPC"
    if one.type == INSTANCE and one.inputs.get("securityGroups"):
        yield "groups by name (securityGroups)"


def _foreign_interfaces(graph: Graph, one: Resource) -> Iterator[str]:
    named: list[Value] = []
    if one.type == INSTANCE:
        parts = one.items("networkInterfaces") if "networkInterfaces" in one.inputs else []
        named = [part.properties.get("networkInterfaceId") for part in parts]
    if one.type == INTERFACE_ATTACHMENT:
        named = [one.inputs.get("networkInterfaceId")]
    known = _identities(graph, INTERFACE)
    yield from (f"the network interface {text}" for value in named for text in _texts(value) if text not in known)


def _identities(graph: Graph, *types: str) -> set[str]:
    return {identity for one in graph.everything(*types) for identity in one.identities}


def _is_interface(endpoint: Resource) -> bool:
    return endpoint.text("vpcEndpointType") not in {"", "Gateway"}


# -- what a rule admits


def _span(rule: Node, protocol: str) -> Span:
    return rule.text(protocol), rule.number("fromPort"), rule.number("toPort")


def _groups_of_rule(graph: Graph, rule: Resource) -> list[Resource]:
    """Return the groups that a rule belongs to; none for a group of another stack."""
    if rule.type == OLD_RULE and rule.text("type") == "egress":
        return []
    found = graph.targets(rule, "securityGroupId", GROUP, DEFAULT_GROUP)
    if not found:
        vpcs = {urn for urn in rule.property_dependencies.get("securityGroupId", ()) if _is_vpc(graph, urn)}
        value = rule.properties.get("securityGroupId")
        for default in graph.everything(DEFAULT_GROUP):  # named by its VPC's `defaultSecurityGroupId`
            owners = graph.targets(default, "vpcId", VPC)
            if any(one.urn in vpcs or one.properties.get("defaultSecurityGroupId") == value for one in owners):
                found.append(default)
    if not found:
        rule.text("securityGroupId")  # raises if it is unknown
    return found


def _is_vpc(graph: Graph, urn: str) -> bool:
    one = graph.get(urn)
    return one is not None and one.type == VPC


def _of_rule(graph: Graph, rule: Resource) -> Iterator[tuple[Resource | str, Span]]:
    span = _span(rule, "ipProtocol")
    for path in ("cidrIpv4", "cidrIpv6"):
        if network := rule.text(path):
            yield network, span
    if prefixes := rule.properties.get("prefixListId"):
        yield _prefix_list(prefixes), span
    for source in _referenced(graph, rule, rule, "referencedSecurityGroupId"):
        yield source, span


def _of_old_rule(graph: Graph, rule: Resource) -> Iterator[tuple[Resource | str, Span]]:
    span = _span(rule, "protocol")
    for source in _sources(graph, rule, rule):
        yield source, span
    for source in _referenced(graph, rule, rule, "sourceSecurityGroupId"):
        yield source, span


def _inside(graph: Graph, group: Resource) -> Iterator[tuple[Resource | str, Span]]:
    for part in inline(group, "ingress"):
        for source in _sources(graph, group, part):
            yield source, _span(part, "protocol")


def _sources(graph: Graph, resource: Resource, rule: Node) -> Iterator[Resource | str]:
    """Return the sources of an old rule, or of one inside a group; the group itself is `self`."""
    yield from (*rule.words("cidrBlocks"), *rule.words("ipv6CidrBlocks"))
    prefixes = rule.properties.get("prefixListIds")
    yield from (
        _prefix_list(one) for one in (prefixes if isinstance(prefixes, list) else [prefixes] if prefixes else [])
    )
    if rule.flag("self"):
        yield "self"
    yield from _referenced(graph, resource, rule, "securityGroups")


def _prefix_list(id: Value) -> str:
    return f"anybody in the prefix list {id}" if isinstance(id, str) else "anybody in a prefix list"


def _referenced(graph: Graph, resource: Resource, rule: Node, path: str) -> Iterator[Resource | str]:
    """Return the groups that a rule names as sources, or their ids if this stack does not declare them."""
    value = rule.properties.get(path)
    if not value:
        return
    if rule is resource:
        found = graph.targets(resource, path, GROUP, DEFAULT_GROUP)
        if found:
            yield from found
            return
    for text in rule.words(path) if isinstance(value, list) else [rule.text(path)]:
        owner = next((one for one in graph.everything(GROUP, DEFAULT_GROUP) if text in one.identities), None)
        yield owner or f"the security group {text}"


def _names(guarded: dict[str, Guarded], group: Resource, source: Resource | str) -> list[str]:
    """Return the roles in a source, or its own name."""
    if source == "self":
        source = group
    if isinstance(source, str):
        return [source]
    return sorted(guarded[source.urn].roles) or [f"{source.label}, which has no members"]


def inline(resource: Resource, path: str) -> list[Node]:
    """Return rules inside a resource. They are also an output, which counts as empty while it is unknown."""
    if resource.properties.get(path) is Unknown.LATER and path not in resource.inputs:
        return []
    return resource.items(path)


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)


# -- network ACLs


def acls(graph: Graph) -> list[Resource]:
    """Return the network ACLs that may apply to machines or endpoints, and parts of ACLs of other stacks."""
    ours = {
        vpc.urn
        for one in graph.of(INSTANCE)
        for subnet in graph.targets(one, "subnetId", SUBNET)
        for vpc in graph.targets(subnet, "vpcId", VPC)
    }
    found: list[Resource] = []
    for one in graph.everything(ACL, DEFAULT_ACL):
        path = "vpcId" if one.type == ACL else "defaultNetworkAclId"
        vpcs = {urn for urn in one.property_dependencies.get(path, ()) if _is_vpc(graph, urn)}
        if not vpcs or vpcs & ours:
            found.append(one)
    parts = graph.everything(ACL_RULE, ACL_ASSOCIATION)
    return found + [one for one in parts if not graph.targets(one, "networkAclId", ACL, DEFAULT_ACL)]


def acl_weakness(graph: Graph, acl: Resource) -> str | None:
    """Return why a network ACL may block needed traffic, None if its first rules allow all traffic."""
    if acl.type in {ACL_RULE, ACL_ASSOCIATION}:
        return "it belongs to a network ACL that this stack does not declare"
    rules = [one for one in graph.everything(ACL_RULE) if acl in graph.targets(one, "networkAclId", ACL, DEFAULT_ACL)]
    for direction, egress in (("ingress", False), ("egress", True)):
        entries = [(one.number("ruleNo"), one.text("action"), one) for one in inline(acl, direction)]
        entries += [
            (one.number("ruleNumber"), one.text("ruleAction"), one) for one in rules if one.flag("egress") == egress
        ]
        over_ipv4 = [one for one in entries if one[2].text("cidrBlock")]
        if not over_ipv4:
            return f"it has no {direction} rule, so it denies all traffic"
        _, action, first = min(over_ipv4, key=lambda one: one[0] or 0)
        every = first.text("protocol") in {"-1", "all"} and first.text("cidrBlock") == "0.0.0.0/0"
        if action != "allow" or not every:
            return f"its first {direction} rule does not allow all traffic"
    return None
