"""The resources of one key on a FHIR server, live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from connectors.errors import KeyNotSelective, Place
from connectors.fhir import Columns
from connectors.fhir_bundle import read_bundle
from connectors.fhir_service import FhirService
from connectors.lookups import LONGEST_ANSWER_ROWS, refuse_strangers

_ESCAPED = str.maketrans({character: f"\\{character}" for character in "\\,|$"})


class FhirQuestion:
    """Searches by `POST …/_search`: FHIR asks for identifiers, and no address may hold one."""

    def __init__(self, service: FhirService, *, columns: Sequence[str] = ()) -> None:
        configuration = service.configuration
        self.place = Place(service.system_id, configuration.resource)
        self.key: Sequence[str] = configuration.lookup_key
        self._service = service
        self._columns = Columns(configuration.columns, columns, configuration.resource)

    def ask(self, key: Mapping[str, str], seconds: float, columns: Sequence[str] = ()) -> pl.DataFrame:
        """Ask for the resources that carry the key, and of them for the elements that are needed."""
        configuration = self._service.configuration
        question = {"_count": str(LONGEST_ANSWER_ROWS)}
        narrow = bool(columns) and configuration.names_elements
        if narrow:
            question["_elements"] = ",".join(self._columns.elements((*columns, *key)))
        for name, value in key.items():
            asked = configuration.lookup[name]
            token = value.translate(_ESCAPED)
            question[asked.parameter] = f"{asked.system}|{token}" if asked.system else token
        reply = self._service.search(question, seconds)
        bundle = read_bundle(reply, configuration.resource, configuration.fhir_version, partial=narrow)
        found = {name: self._columns.column(name, bundle).to_list() for name in key}
        refuse_strangers(
            ({name: found[name][place] for name in key} for place in range(len(bundle.resources))), key
        )
        if bundle.next_link is not None:  # it may hold the question, and is never followed
            raise KeyNotSelective(
                "More resources share one key than a live answer can hold",
                why=f"The look-up asks by {', '.join(key)}",
                remedy="Name columns under lookup in the contract that name few resources",
                key=tuple(key),
            )
        return self._columns.frame(bundle, columns)

    def close(self) -> None:
        """Give back every connection."""
        self._service.close()
