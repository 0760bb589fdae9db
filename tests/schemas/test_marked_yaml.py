"""YAML of agencies is read like JSON, with lines, and cannot unfold into more than it weighs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.marked_yaml import LARGEST_FILE, YamlProblem, read_marked_yaml


def rule_of(text):
    with pytest.raises(YamlProblem) as caught:
        read_marked_yaml(text)
    assert caught.value.remedy
    return caught.value.rule


def test_every_value_keeps_its_line():
    document = read_marked_yaml("a: 1\nb:\n  - x\n  - c: y\n    d: |\n      z\n")
    assert document.data == {"a": 1, "b": ["x", {"c": "y", "d": "z\n"}]}
    assert document.line(("b", 1, "c")) == 4
    assert document.line(("b", 1, "d")) == 5
    assert document.line(("b", 1, "nowhere")) == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("010", "010"), ("1_000", "1_000"), ("0x1F", "0x1F"),
        ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("1.2.0", "1.2.0"), ("true", True), ("~", None),
        ("-5", -5), ("0.25", 0.25), (".inf", ".inf"), (".nan", ".nan"), ("'1'", "1"), ("1e3", "1e3"),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_json_would_have_them_mean(text, value):
    found = read_marked_yaml(f"a: {text}").data["a"]
    assert found == value
    assert type(found) is type(value)


def test_a_billion_laughs_are_refused():
    bomb = "a0: &a0 [lol, lol]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    assert rule_of(bomb) == "too-many-aliases"


def test_few_aliases_that_unfold_into_much_are_refused():
    big = "a: &a [" + ", ".join(["x"] * 5000) + "]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b]\n"
    assert rule_of(big) == "too-many-values"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a" * (LARGEST_FILE + 1), "too-large"),
        ("[" * 5000, "too-deep"),
        ("a: &x {b: *x}", "recursive"),
        ("a: 1\na: 2", "duplicate-key"),
        ("? [a]\n: b", "key"),
        ("a: !!python/object/apply:os.system [ls]", "tag"),
        ("a: !!set {b}", "tag"),
        ("a: !secret b", "tag"),
        ("a: !!timestamp 2024-01-01", "tag"),
        ("a: 99999999999999999999999", "number"),
        ("a: 9007199254740992", "number"),
        ("a: [", "yaml"),
        ("a: b: c", "yaml"),
        ("a: 1\n---\nb: 2", "yaml"),
        ("a: \x00", "yaml"),
        ("a: \x07", "yaml"),
        ("", "empty"),
        ("# only a comment", "empty"),
        (b"\xff\xfe\x00", "encoding"),
    ],
)
def test_what_is_no_plain_document_is_refused_with_a_rule(text, rule):
    assert rule_of(text) == rule


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_nothing_but_a_problem_escapes(text):
    with contextlib.suppress(YamlProblem):
        read_marked_yaml(text)
