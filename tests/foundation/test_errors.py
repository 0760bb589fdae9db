import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import foundation
from foundation import errors
from foundation.errors import FixContract, FixSource, LintasError, Location, RetryLater


class CodeMappingIncomplete(FixContract):
    pass


def test_an_error_is_two_or_three_sentences_and_a_place():
    error = CodeMappingIncomplete(
        "A code has no meaning",
        why="the code list lacks it",
        remedy="Add it to the mapping",
        location=Location(file="a.yaml", line=12, field="sex", rule="codes"),
        count=3,
    )
    assert str(error) == (
        "A code has no meaning (a.yaml:12, field sex, rule codes). "
        "the code list lacks it. Add it to the mapping."
    )
    assert error.as_dict() == {
        "code": "code-mapping-incomplete",
        "what": "A code has no meaning",
        "why": "the code list lacks it",
        "remedy": "Add it to the mapping",
        "location": {"file": "a.yaml", "line": 12, "field": "sex", "rule": "codes"},
        "attributes": {"count": 3},
    }


def test_an_error_without_more_to_say_is_one_sentence():
    assert str(FixSource("The page is cut.")) == "The page is cut."
    assert FixSource("x").as_dict() == {"code": "fix-source", "what": "x"}


def test_every_branch_of_the_tree_is_drawn_and_exported():
    branches = {kind.__name__ for kind in LintasError.__subclasses__() if kind.__module__ == errors.__name__}
    assert branches | {"LintasError", "Location"} == set(errors.__all__) == set(foundation.__all__)
    for branch in branches:
        assert branch in inspect.getdoc(errors)


def test_codes_follow_from_names_or_are_chosen():
    class Chosen(RetryLater):
        code = "kept-for-ever"

    assert (Chosen.code, CodeMappingIncomplete.code) == ("kept-for-ever", "code-mapping-incomplete")
    assert RetryLater("x", retry_after=3).retry_after == 3.0
    assert RetryLater("x").retry_after is None


@given(st.builds(Location, st.none() | st.text(), st.none() | st.integers(), st.none() | st.integers()))
def test_an_error_crosses_a_process_boundary_whole(location):
    error = CodeMappingIncomplete("what", why="why", remedy="do", location=location, n=1)
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is CodeMappingIncomplete
    assert (str(copied), copied.as_dict()) == (str(error), error.as_dict())


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (Location(), ""),
        (Location(line=3), "line 3"),
        (Location(row=0, field="nik"), "row 0, field nik"),
        (Location(file="a"), "a"),
    ],
)
def test_a_location_shows_what_is_known(location, text):
    assert str(location) == text
