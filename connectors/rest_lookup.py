"""The rows of one key of a REST service, live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from connectors.errors import Place
from connectors.lookups import refuse_strangers
from connectors.rest import frame_of
from connectors.rest_service import RestService, at, unreadable


class RestQuestion:
    """Asks a service with the key in the body, never in the address."""

    def __init__(self, service: RestService, *, columns: Sequence[str] = ()) -> None:
        configuration = service.configuration
        self.place = Place(service.system_id, configuration.lookup_path or configuration.path)
        self.key: Sequence[str] = configuration.lookup_key
        self._service = service
        self._columns = tuple(columns)

    def ask(self, key: Mapping[str, str], seconds: float, columns: Sequence[str] = ()) -> pl.DataFrame:
        """Ask for the rows that carry the key; what the service sends beside the columns is left behind."""
        configuration = self._service.configuration
        records = at(self._service.ask(key, seconds), configuration.records_at)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise unreadable(
                f"There is no list of records at {configuration.records_at}",
                "Compare records_at in the contract with a reply of the service",
            )
        refuse_strangers(records, key)
        # whether fields are missing or renamed shows in all of them; only those asked for go on
        whole = frame_of(
            records, self._columns, dataset=self.place.dataset, omits_nulls=configuration.omits_nulls
        )
        return whole.select([name for name in whole.columns if name in columns]) if columns else whole

    def close(self) -> None:
        """Give back every connection."""
        self._service.close()
