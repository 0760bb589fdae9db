"""Changes at the source, as offices make them by day and by mistake, for the demo and the tests.

Each works on a running civil registry, also one that another process serves, and says what it touched.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal, get_args

import psycopg
from psycopg import sql

from foundation.http import AddressPolicy, HttpClient, TlsPolicy
from sandbox.civil_registry import CivilRegistry
from sandbox.faults import FaultKind

Table = Literal["biodata_wni", "data_keluarga", "kelahiran", "kematian", "perpindahan"]
"""What the reading account sees."""
Snapshot = Literal["biodata_wni", "data_keluarga"]
"""What changes in place; the rest are views of the feed, which only grows."""
#: A number of the right shape that no population gives out.
UNKNOWN_NIK = "3576020101508888"
ABSURD = date(2926, 2, 3)


_DISTRICT_OF = """
SELECT format('%%s%%s%%s', no_prop, no_kab, lpad(no_kec::text, 2, '0'))
FROM biodata_wni WHERE nik = %s LIMIT 1
"""
_CHILD_OF = """
INSERT INTO biodata_wni (nik, no_kk, nama_lgkp, tmpt_lhr, tgl_lhr, jenis_klmin, stat_kwn, stat_hbkel, nik_ibu,
                         nik_ayah, alamat, no_rt, no_rw, no_prop, no_kab, no_kec, no_kel, last_sync)
SELECT %(nik)s, m.no_kk, %(name)s, 'MOJOKERTO', %(born)s, %(sex)s, 1, 4, m.nik,
       (SELECT f.nik FROM biodata_wni f
        WHERE f.no_kk = m.no_kk AND f.jenis_klmin = 1 AND f.stat_hbkel IN (1, 2) LIMIT 1),
       m.alamat, m.no_rt, m.no_rw, m.no_prop, m.no_kab, m.no_kec, m.no_kel, now()
FROM biodata_wni m WHERE m.nik = %(mother)s LIMIT 1
"""
_BIRTH_OF = """
INSERT INTO kelahiran (no_akta, nik, nama_lgkp, tgl_lhr, tmpt_lhr, jenis_klmin, nik_ibu, nik_ayah, tgl_daftar,
                       no_prop, no_kab, no_kec)
SELECT %(deed)s, nik, nama_lgkp, tgl_lhr, tmpt_lhr, jenis_klmin, nik_ibu, nik_ayah, current_date,
       no_prop, no_kab, no_kec
FROM biodata_wni WHERE nik = %(nik)s
"""


class RegistryMutations:
    """What clerks, administrators and accidents do to the civil registry."""

    def __init__(self, registry: CivilRegistry) -> None:
        self._registry = registry

    def new_death(self, nik: str, died: date | None = None) -> str:
        """Register a death; gives the number of the deed."""
        return self._register_death(nik, died or today() - timedelta(days=3))

    def correct_death(self, deed: str, died: date) -> None:
        """Correct the day of a death, as the feed does: by a new event of the same deed."""
        self._run(
            "INSERT INTO kematian (no_akta, nik, tgl_mati, tgl_lapor, no_prop, no_kab, no_kec)"
            " SELECT no_akta, nik, %s, current_date, no_prop, no_kab, no_kec FROM kematian"
            " WHERE no_akta = %s ORDER BY nomor DESC LIMIT 1",
            died, deed,
        )  # fmt: skip

    def absurd_death(self, nik: str) -> str:
        """Register a death in the year 2926; gives the number of the deed."""
        return self._register_death(nik, ABSURD)

    def death_of_unknown_person(self) -> str:
        """Register the death of somebody who is not in the register of persons; gives the number."""
        self._register_death(UNKNOWN_NIK, today() - timedelta(days=5))
        return UNKNOWN_NIK

    def new_birth(self, mother_nik: str, name: str, *, born: date | None = None, sex: str = "female") -> str:
        """Register a birth and put the child on the mother's family card; gives the child's NIK."""
        born = born or today() - timedelta(days=10)
        day = born.day + (40 if sex == "female" else 0)
        with self._registry.administrator() as connection:
            head = f"{_value(connection, _DISTRICT_OF, mother_nik)}{day:02d}{born:%m%y}"
            serial = _value(
                connection,
                "SELECT coalesce(max(right(nik, 4)::int), 0) + 1 FROM biodata_wni"
                " WHERE nik LIKE %s AND right(nik, 4) ~ '^[0-9]{4}$'",
                f"{head}%",
            )
            nik = f"{head}{serial:04d}"
            child = {"nik": nik, "name": name, "born": born, "sex": 2 if sex == "female" else 1}
            child |= {"mother": mother_nik, "deed": self._next_deed(connection, "LU")}
            connection.execute(_CHILD_OF, child)
            connection.execute(_BIRTH_OF, child)
            connection.execute(
                "UPDATE data_keluarga SET jumlah_anggota = jumlah_anggota + 1, last_sync = now()"
                " WHERE no_kk = (SELECT no_kk FROM biodata_wni WHERE nik = %s LIMIT 1)",
                (mother_nik,),
            )
        return nik

    def change_birth_date(self, nik: str, born: date) -> None:
        """Correct a person's birth date in the register of persons; the NIK stays."""
        self._run("UPDATE biodata_wni SET tgl_lhr = %s, last_sync = now() WHERE nik = %s", born, nik)

    def change_address(self, nik: str, address: str) -> None:
        """Move a person within the city."""
        self._run("UPDATE biodata_wni SET alamat = %s, last_sync = now() WHERE nik = %s", address, nik)

    def move_away(self, nik: str) -> None:
        """Move a person to the neighbouring regency: an event of the feed, and another address of theirs."""
        self._run(
            "INSERT INTO perpindahan (no_pindah, nik, tgl_pindah, asal_prop, asal_kab, asal_kec,"
            " no_prop, no_kab, no_kec)"
            " SELECT format('SKPWNI/3576/%%s/%%s', to_char(now(), 'DDMMYYYY'),"
            " (SELECT coalesce(max(nomor), 0) + 1 FROM peristiwa)),"
            " nik, current_date, no_prop, no_kab, no_kec, 35, 16, 1 FROM biodata_wni WHERE nik = %s LIMIT 1",
            nik,
        )
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

    def truncate_snapshot(self, table: Snapshot = "biodata_wni", keep: float = 0.4) -> int:
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

    def garbage(self) -> int:
        """Make every number rubbish, as after a restore with the wrong character set; gives how many."""
        with self._registry.administrator() as connection:
            return connection.execute(
                "UPDATE biodata_wni SET nik = left('#' || md5(ctid::text), 16), last_sync = now()"
            ).rowcount

    def revoke(self, table: Table = "biodata_wni") -> None:
        """Take the reading account's right away."""
        self._run_sql(sql.SQL("REVOKE SELECT ON {} FROM lintas_reader").format(sql.Identifier(table)))

    def grant(self, table: Table = "biodata_wni") -> None:
        """Give the right back."""
        self._run_sql(sql.SQL("GRANT SELECT ON {} TO lintas_reader").format(sql.Identifier(table)))

    def drop_table(self, table: Table = "biodata_wni") -> None:
        """Drop a table, or a view of the feed."""
        kind = sql.SQL("TABLE" if table in get_args(Snapshot) else "VIEW")
        self._run_sql(sql.SQL("DROP {} {}").format(kind, sql.Identifier(table)))

    def _register_death(self, nik: str, died: date) -> str:
        with self._registry.administrator() as connection:
            deed = self._next_deed(connection, "KM")
            connection.execute(
                "INSERT INTO kematian (no_akta, nik, tgl_mati, tgl_lapor, no_prop, no_kab, no_kec)"
                " VALUES (%s, %s, %s, current_date, 35, 76, 2)",
                (deed, nik, died),
            )
        return deed

    def _next_deed(self, connection: psycopg.Connection, kind: str) -> str:
        """Number of the next deed of a kind that is issued today."""
        head = f"3576-{kind}-{today():%d%m%Y}-"
        issued = _value(
            connection, "SELECT count(DISTINCT no_akta) FROM peristiwa WHERE no_akta LIKE %s", f"{head}%"
        )
        return f"{head}{issued + 1:04d}"

    def _run(self, statement: str, *parameters: object) -> None:
        with self._registry.administrator() as connection:
            connection.execute(statement.encode(), parameters)

    def _run_sql(self, statement: sql.Composed) -> None:
        with self._registry.administrator() as connection:
            connection.execute(statement)


def today() -> date:
    """The day on which something is done at a counter."""
    return date.today()  # noqa: DTZ011


def _value(connection: psycopg.Connection, query: str, *parameters: object) -> Any:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


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
