"""The contracts of this installation: read them, all of them, and say everything that is wrong at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.contract import (
    Contract,
    ErrorBudget,
    FieldMapping,
    Mode,
    ServerBinding,
    Snapshot,
    Validity,
)
from schemas.contract_reading import SUFFIX, read_contract
from schemas.errors import ContractInvalid, ContractProblem, UnknownContract
from schemas.problems import Problems

PACKAGED_CONTRACTS = Path(__file__).with_name("contracts")
"""The contracts that come with the bus: those of the practice agencies."""

MOST_FILES = 10_000


Inspection = Callable[["Contract"], Iterable[tuple[str, str, str]]]
"""Looks at a contract's connector: what is wrong with which setting, and what to do about it."""


@dataclass(frozen=True)
class ContractSet:
    """Contracts by dataset, and the problems of files that are not among them."""

    contracts: Mapping[str, Contract]
    problems: tuple[ContractProblem, ...] = ()

    def __iter__(self) -> Iterator[Contract]:
        return iter(self.contracts.values())

    def __len__(self) -> int:
        return len(self.contracts)

    def __contains__(self, dataset_id: object) -> bool:
        return dataset_id in self.contracts

    def get(self, dataset_id: str) -> Contract:
        """Return the contract of a dataset.

        Raises:
            ContractInvalid: Its file has problems.
            UnknownContract: There is none.
        """
        found = self.contracts.get(dataset_id)
        problems = [each for each in self.problems if each.file == f"{dataset_id}{SUFFIX}"]
        if found is None and problems:
            raise ContractInvalid(problems)
        if found is None:
            close = difflib.get_close_matches(dataset_id, self.contracts, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            raise UnknownContract(
                f"No contract of the dataset '{dataset_id}' is loaded",
                remedy=f"{hint}Loaded are: {', '.join(sorted(self.contracts)) or 'none'}",
                dataset=dataset_id,
            )
        return found


def load_contract(path: Path | str) -> Contract:
    """Read one contract.

    Raises:
        ContractInvalid: With every problem found, each with its line.
    """
    path = Path(path)
    problems = Problems(_label(path))
    contract = read_contract(path, problems)
    if contract is None or problems.found:
        raise ContractInvalid(problems.found)
    return contract


def load_contracts(
    directory: Path | str | None = None, *, collect: bool = False, inspect: Inspection | None = None
) -> ContractSet:
    """Read every contract below a directory, by default those that come with the bus.

    With ``collect``, files with problems are left out and their problems kept in the set; one bad file never
    stops the others. ``inspect`` tells what is wrong with the settings of a contract's connector, of which
    nothing is known here.

    Raises:
        ContractInvalid: With every problem of every file, unless ``collect``.
    """
    root = Path(directory) if directory is not None else PACKAGED_CONTRACTS
    contracts: dict[str, Contract] = {}
    found: list[ContractProblem] = []
    for path in _files(root, found):
        problems = Problems(_label(path))
        contract = read_contract(path, problems)
        if contract is not None:
            _check_against(contract, contracts, problems)
        if contract is not None and not problems.found:
            contracts[contract.id] = contract
        found.extend(problems.found)
    for contract in list(contracts.values()):
        problems = Problems(_label(contract.path) if contract.path else contract.id)
        _check_references(contract, contracts, problems)
        for setting, message, remedy in inspect(contract) if inspect else ():
            place = f"servers.connector.{setting}".rstrip(".")
            problems.add_at(place, "connector", message, remedy, line=contract.server.line(setting))
        if problems.found:
            del contracts[contract.id]
            found.extend(problems.found)
    if found and not collect:
        raise ContractInvalid(found)
    return ContractSet(contracts, tuple(found))


def _files(root: Path, found: list[ContractProblem]) -> list[Path]:
    if not root.is_dir():
        found.append(
            ContractProblem(
                str(root.name), None, None, "directory", "The directory of contracts does not exist.",
                "Correct LINTAS_CONTRACTS or create it.",
            )
        )  # fmt: skip
        return []
    return sorted(root.glob(f"*/*{SUFFIX}"))[:MOST_FILES]


def _check_against(contract: Contract, others: Mapping[str, Contract], problems: Problems) -> None:
    for other in others.values():
        mine, theirs = contract.record_type, other.record_type
        if mine is not theirs and mine.table_name == theirs.table_name and mine != theirs:
            problems.add(
                ("schema", 0, "name"), "type-name",
                f"The record type {mine.name} is declared differently by {other.id}.",
                "Declare the same properties, or choose another name.",
            )  # fmt: skip


def _check_references(contract: Contract, others: Mapping[str, Contract], problems: Problems) -> None:
    """A dataset that is not loaded here may come later; a name nearly that of a loaded one is a slip."""
    for rule in contract.quality:
        if rule.reference is None:
            continue
        wanted = rule.reference.dataset
        other = others.get(wanted)
        if other is None and (close := _nearly(wanted, others)):
            problems.add(
                (), "quality", f"The rule {rule.name} looks for records of '{wanted}', which is not loaded.",
                f"Did you mean {close}?", line=rule.line,
            )  # fmt: skip
        if other is not None and rule.reference.field not in other.fields:
            problems.add(
                (), "quality",
                f"The rule {rule.name} looks for {rule.reference.field}, which {wanted} has not.",
                f"Name a field that it maps: {', '.join(other.fields)}.", line=rule.line,
            )  # fmt: skip


def _nearly(wanted: str, others: Mapping[str, Contract]) -> str:
    """The dataset of the same agency whose name is nearest to the wanted one, if any is near."""
    agency, _, dataset = wanted.partition("/")
    near = {each.dataset: each.id for each in others.values() if each.agency == agency}
    close = difflib.get_close_matches(dataset, near, n=1, cutoff=0.8)
    return near[close[0]] if close else ""


def _label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


__all__ = [
    "PACKAGED_CONTRACTS",
    "Contract",
    "ContractInvalid",
    "ContractSet",
    "ErrorBudget",
    "FieldMapping",
    "Mode",
    "ServerBinding",
    "Snapshot",
    "Validity",
    "load_contract",
    "load_contracts",
]
