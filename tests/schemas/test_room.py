"""The room as a whole: what it exports, what it documents, what it does not import."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import schemas
import schemas.identifiers
import schemas.kinds
from foundation.errors import FixContract, FixSource, LintasError
from schemas import errors
from schemas.documentation import markdown

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", [schemas, schemas.identifiers, schemas.kinds])
def test_everything_exported_exists(package):
    for name in package.__all__:
        assert hasattr(package, name) or importlib.import_module(f"{package.__name__}.{name}")
    assert list(package.__all__) == sorted(package.__all__, key=lambda name: (not name.isupper(), name))


def test_every_error_of_the_room_says_who_must_act():
    leaves = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LintasError)
    ]
    own = [each for each in leaves if each.__module__ == errors.__name__]
    assert {each.__name__ for each in own} == {
        "ColumnsChanged", "ContractInvalid", "IdentifierInvalid", "UnknownContract", "UnknownRecordType",
    }  # fmt: skip
    assert all(issubclass(each, FixContract | FixSource) for each in own)
    assert all(each.__name__ in errors.__doc__ for each in own)


@pytest.mark.parametrize("path", sorted(markdown()))
def test_the_reference_pages_are_what_the_code_says(path):
    assert (ROOT / path).read_text(encoding="utf-8") == markdown()[path]


def test_the_guide_names_every_step_and_every_custom_property():
    from schemas.contract_terms import ContractTerms, FieldTerms, ServerTerms
    from schemas.transform_reading import STEPS

    guide = (ROOT / "docs/how-to/write-a-contract.md").read_text(encoding="utf-8")
    reference = markdown()["docs/reference/contracts.md"]
    for step in STEPS:
        assert f"`{step}`" in guide
    for terms in (ContractTerms, ServerTerms, FieldTerms):
        for name in terms.model_fields:
            assert f"`{name}`" in reference


def test_the_contracts_in_the_guide_load(tmp_path):
    from schemas.contracts import load_contract

    guide = (ROOT / "docs/how-to/write-a-contract.md").read_text(encoding="utf-8")
    blocks = [block.partition("\n")[2] for block in guide.split("```")[1::2] if block.startswith("yaml")]
    whole = [block for block in blocks if block.startswith("apiVersion")]
    assert whole
    for text in whole:
        agency, dataset = text.partition("\nid: ")[2].splitlines()[0].split("/")
        path = tmp_path / agency / f"{dataset}.odcs.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        assert load_contract(path).fields


def test_contracts_load_without_regions_and_heavy_libraries():
    code = (
        "import sys; from schemas.contracts import load_contracts; load_contracts();"
        "heavy = ('lokal', 'great_expectations', 'pandas', 'airflow');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
