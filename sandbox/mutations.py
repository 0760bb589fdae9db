"""Changes at the source, as offices make them by day and by mistake, for the demo and the tests.

Each works on a running civil registry, also one that another process serves, and says what it touched.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from psycopg import sql

from foundation.http import AddressPolicy, HttpClient, TlsPolicy
from sandbox.civil_registry import CivilRegistry
from sandbox.faults import FaultKind

Table = Literal["biodata_wni", "kematian"]
#: A number of the right shape that no population gives out.
UNKNOWN_NIK = "3576020101508888"
ABSURD = date(2926, 2, 3)


class RegistryMutations:
    """What clerks, administrators and accidents do to the civil registry."""

    def __init__(self, registry: CivilRegistry) -> None:
        self._registry = registry

    def new_death(self, nik: str, died: date | None = None) -> str:
        """Register a death; gives the number of the deed."""
        return self._register_death(nik, died or date.today() - timedelta(days=3))  # noqa: DTZ011

    def absurd_death(self, nik: str) -> str:
        """Register a death in the year 2926; gives the number of the deed."""
        return self._register_death(nik, ABSURD)

    def death_of_unknown_person(self) -> str:
        """Register the death of somebody who is not in the register of persons; gives the number."""
        self._register_death(UNKNOWN_NIK, date.today() - timedelta(days=5))  # noqa: DTZ011
        return UNKNOWN_NIK

    def change_address(self, nik: str, address: str) -> None:
        """Move a person within the city."""
        self._run("UPDATE biodata_wni SET alamat = %s, last_sync = now() WHERE nik = %s", address, nik)

    def move_away(self, nik: str) -> None:
        """Move a person to the neighbouring regency."""
        self._run(
            "UPDATE biodata_wni SET no_kab = 16, no_kec = 1, no_kel = 2001, last_sync = now() WHERE nik = %s",
            nik,
        )

    def absurd_birth_date(self, nik: str) -> None:
        """Let a person be born in the year 2926."""
        self._run("UPDATE biodata_wni SET tgl_lhr = %s, last_sync = now() WHERE nik = %s", ABSURD, nik)

    def duplicate_key(self, nik: str) -> None:
        """Enter a person a second time, under another name."""
        with self._registry.administrator() as connection:
            connection.execute(
                "CREATE TEMP TABLE twin ON COMMIT DROP AS SELECT * FROM biodata_wni WHERE nik = %s LIMIT 1",
                (nik,),
            )
            connection.execute(
                "UPDATE twin SET nama_lgkp = left(nama_lgkp || ' KEDUA', 60), last_sync = now()"
            )
            connection.execute("INSERT INTO biodata_wni SELECT * FROM twin")

    def rename_column(
        self, table: Table = "biodata_wni", old: str = "nama_lgkp", new: str = "nama_lengkap"
    ) -> None:
        """Rename a column without telling anybody; call with the names swapped to undo it."""
        self._run_sql(
            sql.SQL("ALTER TABLE {} RENAME COLUMN {} TO {}").format(
                sql.Identifier(table), sql.Identifier(old), sql.Identifier(new)
            )
        )

    def truncate_snapshot(self, table: Table = "biodata_wni", keep: float = 0.4) -> int:
        """Lose most rows, as a broken export does; gives how many are gone."""
        with self._registry.administrator() as connection:
            done = connection.execute(
                sql.SQL(
                    "DELETE FROM {} WHERE ctid IN (SELECT ctid FROM {} ORDER BY nik OFFSET"
                    " (SELECT ceil(count(*) * %s::numeric)::bigint FROM {}))"
                ).format(*[sql.Identifier(table)] * 3),
                (keep,),
            )
            return done.rowcount

    def garbage(self, table: Table = "biodata_wni") -> int:
        """Make every number rubbish, as after a restore with the wrong character set; gives how many."""
        with self._registry.administrator() as connection:
            statement = sql.SQL("UPDATE {} SET nik = left('#' || md5(ctid::text), 16), last_sync = now()")
            return connection.execute(statement.format(sql.Identifier(table))).rowcount

    def revoke(self, table: Table = "biodata_wni") -> None:
        """Take the reading account's right away."""
        self._run_sql(sql.SQL("REVOKE SELECT ON {} FROM lintas_reader").format(sql.Identifier(table)))

    def grant(self, table: Table = "biodata_wni") -> None:
        """Give the right back."""
        self._run_sql(sql.SQL("GRANT SELECT ON {} TO lintas_reader").format(sql.Identifier(table)))

    def drop_table(self, table: Table = "biodata_wni") -> None:
        """Drop a table."""
        self._run_sql(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))

    def _register_death(self, nik: str, died: date) -> str:
        with self._registry.administrator() as connection:
            found = connection.execute("SELECT count(*) + 1 FROM kematian").fetchone()
            assert found is not None
            deed = f"3576-KM-{date.today():%d%m%Y}-{found[0]:04d}"  # noqa: DTZ011
            connection.execute(
                "INSERT INTO kematian (no_akta, nik, tgl_mati, tgl_lapor, no_prop, no_kab, no_kec, last_sync)"
                " VALUES (%s, %s, %s, current_date, 35, 76, 2, now())",
                (deed, nik, died),
            )
        return deed

    def _run(self, statement: str, *parameters: object) -> None:
        with self._registry.administrator() as connection:
            connection.execute(statement.encode(), parameters)

    def _run_sql(self, statement: sql.Composed) -> None:
        with self._registry.administrator() as connection:
            connection.execute(statement)


class TaxSwitches:
    """The tax office's practice switches, thrown from another process."""

    def __init__(self, endpoint_url: str, ca_pem: str, practice_key: str) -> None:
        host = endpoint_url.removeprefix("https://").rstrip("/")
        self._client = HttpClient(
            AddressPolicy([host]), system="the practice tax office", tls=TlsPolicy(ca_pem=ca_pem)
        )
        self._address = f"{endpoint_url.rstrip('/')}/practice"
        self._headers = {"X-Practice-Key": practice_key}

    def switch_on(self, kind: FaultKind, *, page: int | None = None, times: int | None = None) -> None:
        """Throw a switch."""
        self._post("faults", {"kind": kind.value, "page": page, "times": times})

    def clear(self) -> None:
        """Turn everything off."""
        self._post("faults", None)

    def set_standing(self, npwp16: str, status: str) -> None:
        """Change a taxpayer's standing: `VALID` or `TIDAK VALID`."""
        self._post("standing", {"npwp16": npwp16, "status": status})

    def close(self) -> None:
        """Give back the connection."""
        self._client.close()

    def _post(self, what: str, value: object) -> None:
        content = b"null" if value is None else None
        self._client.request(
            "POST",
            f"{self._address}/{what}",
            json=value,
            content=content,
            headers=self._headers,
            idempotent=False,
        )
