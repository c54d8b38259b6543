"""The coverage table: what it claims is true, and what it does not contain fails."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from console.errors import InputError
from policies.coverage.checked import check
from policies.coverage.summary import JUDGED, REVIEWED, UNCOVERED, coverage
from policies.coverage.table import Covered, covering, load, table
from policies.coverage.walk import MISSING, leaves, values_at
from policies.graph import Graph, Resource, Unknown, recorded
from policies.mutation.operators import optioned, replaced, revised
from policies.mutation.trial import WEAKENINGS
from policies.packs import all_rules
from policies.rule import Outcome, Rule
from policies.sources import Judged

INSTANCE = "aws:ec2/instance:Instance"
RULES = {rule.id: rule for rule in all_rules()}
ROW = "['aws:ec2/instance:Instance worker']\n"


def _load(folder: Path, text: str) -> None:
    (folder / "some.toml").write_text(text)
    check(load(folder), RULES)


def test_every_row_names_a_property_of_the_sdk_and_existing_rules() -> None:
    check(table(), RULES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'{ROW}amy = {{ free = "a name" }}\n', r"some.toml:2: .*: amy: the provider's SDK has no such property"),
        (f"{ROW}'rootBlockDevice.sizes' = {{ values = [1] }}\n", r"some.toml:2: .*sizes: .*no such property"),
        (f"{ROW}'@forget' = {{ values = [1] }}\n", r"some.toml:2: .*@forget: no such option; use one of @additional"),
        (f"{ROW}ami = {{ values = [1] }}\nami = {{ values = [1] }}\n", r"some.toml:3: "),
        (f"{ROW}\n{ROW}", r"some.toml:3: "),
        ("['aws:ec2/machine:Machine x']\nami = { values = [1] }\n", r"some.toml:1: .*SDK has no such type"),
        ("['aws:ec2/instance:Instance']\nami = { values = [1] }\n", r"some.toml:1: .*a type, a space, and a pattern"),
        ("['aws:ec2/instance:Instance (']\nami = { values = [1] }\n", r"some.toml:1: .*not a regular expression"),
        (f'{ROW}ami = {{ judged = ["no-such-rule"] }}\n', r"some.toml:2: .*there is no rule no-such-rule"),
        (f"{ROW}ami = {{}}\n", r"some.toml:2: .*ami: does not say who judges it; add values"),
        (f"{ROW}ami = {{ optional = true }}\n", r"some.toml:2: .*does not say who judges it"),
        (f'{ROW}ami = {{ values = [1], free = "x" }}\n', r"some.toml:2: .*both free and judged"),
        (f"{ROW}ami = {{ pattern = '(' }}\n", r"some.toml:2: .*not a regular expression"),
        (f"{ROW}ami = {{ value = [1] }}\n", r"some.toml:2: .*value: no such key"),
        (f'{ROW}ami = {{ free = "" }}\n', r"some.toml:2: .*is empty"),
        (f"{ROW}ami = [\n", r"some.toml:\d: "),
    ],
)
def test_an_invalid_table_names_the_file_and_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        _load(tmp_path, text)


def test_a_type_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "another.toml").write_text(f"{ROW}ami = {{ values = [1] }}\n")
    with pytest.raises(InputError, match=r"some.toml:1: .*is also at .*another.toml:1"):
        _load(tmp_path, f"{ROW}ami = {{ values = [1] }}\n")


def test_leaves_and_values_have_paths_without_indices() -> None:
    inputs: dict[str, Any] = {"a": [{"b": 1}, {"c": 2}], "d": {"e": "x"}, "f": [], "g": ["y", "z"]}
    assert [path for path, _ in leaves(inputs)] == ["a[].b", "a[].c", "d.e", "f", "g[]", "g[]"]
    assert list(values_at(inputs, "a[].b")) == [1, MISSING]
    assert list(values_at(inputs, "g[]")) == ["y", "z"]
    assert list(values_at(inputs, "d.none")) == [MISSING]
    assert list(values_at(inputs, "none.deeper")) == [MISSING]
    assert list(values_at(inputs, "f[].deeper")) == [MISSING]
    assert list(values_at({"a": Unknown.LATER}, "a.b")) == [Unknown.LATER]


# -- claims


@pytest.fixture(scope="module")
def read(prod: Judged) -> dict[str, set[tuple[str, str]]]:
    """The URNs and paths that each rule reads."""
    found: dict[str, set[tuple[str, str]]] = {}
    for rule in all_rules():
        with recorded() as own:
            rule.verdicts(Graph(prod.graph.resources))  # a new graph, because views are cached in it
        found[rule.id] = own
    return found


def _overlap(one: str, other: str) -> bool:
    """Whether one path is the other, or contains it."""
    return any(a == b or a.startswith((f"{b}.", f"{b}[]")) for a, b in ((one, other), (other, one)))


def _claims() -> list[tuple[Covered, str, str]]:
    return [
        (covered, path, rule)
        for listed in table().values()
        for covered in listed
        for path, row in covered.rows.items()
        for rule in row.judged
    ]


def test_a_rule_reads_what_it_claims_to_judge(prod: Judged, read: dict[str, set[tuple[str, str]]]) -> None:
    wrong: list[str] = []
    for covered, path, rule in _claims():
        own = [one for one in prod.graph.of(covered.type) if covering(table(), one.type, one.name) is covered]
        paths = {path for urn, path in read[rule] if any(urn == one.urn for one in own)}
        if own and not any(_overlap(path, one) for one in paths):
            wrong.append(f"{covered.places[path]}: {rule} does not read {path}")
    assert "\n".join(wrong) == ""


@pytest.mark.long
def test_a_weakening_changes_each_property_that_a_rule_judges(prod: Judged) -> None:
    changed: dict[str, set[tuple[str, str]]] = {}
    for weakening in WEAKENINGS:
        start = weakening.prepared(prod.graph) if weakening.prepared else prod.graph
        own = changed.setdefault(weakening.expected_rule, set())
        for mutant in islice(weakening.operator(start), 4):
            for one in mutant.graph.resources:
                before = start.get(one.urn)
                if before is not None and before is not one:
                    own |= {(one.type, path) for path in _changes(before, one)}
    wrong = [
        f"{covered.places[path]}: no weakening of {rule} changes {path}"
        for covered, path, rule in _claims()
        if not any(type == covered.type and _overlap(path, one) for type, one in changed.get(rule, ()))
    ]
    assert "\n".join(wrong) == ""


def _changes(before: Resource, after: Resource) -> set[str]:
    old, new = _shape(before), _shape(after)
    return {path.removeprefix("~") for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def _shape(resource: Resource) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, value in leaves(resource.properties):
        found.setdefault(path, []).append(repr(value))
    options = {f"@{name}": [repr(value)] for name, value in resource.options.items()}
    return {**found, **options, **{f"~{path}": sorted(urns) for path, urns in resource.property_dependencies.items()}}


# -- judging


def _fails(graph: Graph, rule: Rule, name: str) -> str:
    """Return the message of the rule's failure for a resource."""
    found = [one for one in rule.verdicts(graph) if one.outcome is Outcome.FAIL and one.urn.endswith(f"::{name}")]
    assert len(found) == 1
    return found[0].message


def _changed(graph: Graph, name: str, **properties: Any) -> Graph:
    """Return the graph with other inputs of an instance."""
    one = next(one for one in graph.of(INSTANCE) if one.name == name)
    inputs = {**one.inputs, **properties}
    return replaced(graph, revised(one, inputs=inputs, properties={**one.properties, **properties}))


def test_a_new_property_fails_with_its_path(prod: Judged) -> None:
    weak = _changed(prod.graph, "worker-1-0", instanceMarketOptions={"spotOptions": {"maxPrice": "1"}})
    message = _fails(weak, RULES["every-property-is-covered"], "worker-1-0")
    assert message == "the table has no row for instanceMarketOptions.spotOptions.maxPrice"


def test_a_new_option_fails_with_its_name(prod: Judged) -> None:
    one = next(one for one in prod.graph.of(INSTANCE) if one.name == "worker-1-0")
    weak = replaced(prod.graph, optioned(one, ignoreChanges=["userData"]))
    assert _fails(weak, RULES["every-option-is-covered"], "worker-1-0") == "the table has no row for @ignoreChanges"


def test_a_required_option_that_the_engine_hides_does_not_fail(prod: Judged) -> None:
    one = next(one for one in prod.graph.of(INSTANCE) if one.name == "worker-1-0")
    without = {name: value for name, value in one.options.items() if name != "replaceOnChanges"}
    hidden = revised(one, options=without, hidden_options=frozenset({"replaceOnChanges"}))
    verdicts = RULES["every-option-is-covered"].verdicts(replaced(prod.graph, hidden))
    assert all(one.outcome is Outcome.PASS for one in verdicts)
    shown = revised(one, options=without)
    assert "@replaceOnChanges is null" in _fails(
        replaced(prod.graph, shown), RULES["every-option-is-covered"], "worker-1-0"
    )


def test_a_value_that_is_not_listed_fails_with_the_allowed_values(prod: Judged) -> None:
    weak = _changed(prod.graph, "worker-1-0", metadataOptions={"httpTokens": "optional"})
    assert 'metadataOptions.httpTokens is "optional"; "required" is expected' in _fails(
        weak, RULES["values-are-allowed"], "worker-1-0"
    )


def test_coverage_counts_each_property_once_and_nothing_is_uncovered(prod: Judged) -> None:
    counted = coverage(prod.graph)
    assert counted.properties[UNCOVERED] == 0
    assert counted.properties[JUDGED] > 100
    assert counted.properties[REVIEWED] > 5
    assert counted.contents > 150
    assert all(counted.free)  # each has a reason
    assert f"{counted.types} types, {sum(counted.properties.values())} properties and options" in counted.line


def test_coverage_counts_a_property_without_a_row(prod: Judged) -> None:
    weak = _changed(prod.graph, "worker-1-0", hibernation=True)
    assert coverage(weak).properties[UNCOVERED] == 1
