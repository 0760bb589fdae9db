from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import psycopg
import pytest

from sandbox import FIXED
from sandbox.agencies import PracticeAgencies, civil_registry_at, start
from sandbox.civil_registry import READER
from sandbox.mutations import UNKNOWN_NIK, RegistryMutations


@pytest.fixture(scope="module")
def serving(session_directory: Path) -> Iterator[PracticeAgencies]:
    agencies = start(session_directory / "agencies", 400, 5)
    yield agencies
    agencies.stop()
    agencies.registry.server.remove()


@pytest.fixture
def agencies(serving: PracticeAgencies) -> Iterator[PracticeAgencies]:
    yield serving
    serving.refill()


@pytest.fixture
def mutations(agencies: PracticeAgencies) -> RegistryMutations:
    return RegistryMutations(agencies.registry)


def value(agencies: PracticeAgencies, query: str) -> object:
    with agencies.registry.administrator() as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_everything_that_was_drawn_is_served(agencies: PracticeAgencies) -> None:
    assert value(agencies, "SELECT count(*) FROM biodata_wni") == agencies.population.persons.height
    assert value(agencies, "SELECT count(*) FROM kematian") == agencies.population.deaths.height
    for name, books in agencies.tax.shelf.items():
        assert books.rows.equals(getattr(agencies.population, name))
    for view in ("kelahiran", "kematian", "perpindahan"):
        of = {"kelahiran": "births", "kematian": "deaths", "perpindahan": "moves"}[view]
        told = value(agencies, f"SELECT array_agg(nomor ORDER BY last_sync, nomor) FROM {view}")
        assert told == getattr(agencies.population, of)["nomor"].to_list()
    assert value(agencies, "SELECT count(*) FROM data_keluarga") == agencies.population.families.height
    assert [path.suffix for path in sorted(agencies.licensing.folder.iterdir())] == [
        ".sha256",
        ".xlsx",
        ".csv",
    ]


def test_null_and_empty_text_are_told_apart_on_the_way_in(agencies: PracticeAgencies) -> None:
    names = agencies.population.persons["nama_lgkp"]
    assert value(agencies, "SELECT count(*) FROM biodata_wni WHERE nama_lgkp IS NULL") == names.null_count()
    assert value(agencies, "SELECT count(*) FROM biodata_wni WHERE nama_lgkp = ''") == (names == "").sum()


def test_the_registry_is_reached_only_by_tls_that_proves_its_name(agencies: PracticeAgencies) -> None:
    address = {
        "host": "localhost", "port": str(agencies.registry.port), "dbname": "siak", "user": READER,
        "password": agencies.registry.password,
    }  # fmt: skip
    trusted = {
        "sslmode": "verify-full",
        "sslnegotiation": "direct",
        "sslrootcert": str(agencies.authority.ca_path),
    }
    with psycopg.connect(**{**address, **trusted}) as connection:  # type: ignore[arg-type]
        assert connection.pgconn.ssl_in_use
    for wrong in ({"sslmode": "disable"}, {**trusted, "sslrootcert": "system"}, {"sslmode": "prefer"}):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(**{**address, **wrong})  # type: ignore[arg-type]


def test_the_reader_may_only_read(agencies: PracticeAgencies) -> None:
    rights = "SELECT string_agg(privilege_type, ',') FROM information_schema.role_table_grants"
    granted = str(value(agencies, f"{rights} WHERE grantee = '{READER}'"))
    assert set(granted.split(",")) == {"SELECT"}


def test_servers_listen_on_loopback_only(agencies: PracticeAgencies) -> None:
    outside = [each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for address in {str(each) for each in outside if not str(each).startswith("127.")}:
        for port in (office.port for office in agencies.offices.values()):
            with socket.socket() as probe:
                probe.settimeout(1)
                assert probe.connect_ex((address, port)) != 0


def test_secrets_are_put_where_the_contracts_look_and_readable_by_the_owner_only(
    agencies: PracticeAgencies, tmp_path: Path
) -> None:
    agencies.install_secrets(tmp_path)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "dinkes-mojokerto/satusehat-client-id",
        "dinkes-mojokerto/satusehat-client-secret",
        "dpmptsp-mojokerto/oss-daerah-password",
        "dukcapil-mojokerto/siak-password",
        "kpp-mojokerto/kswp-client-id",
        "kpp-mojokerto/kswp-client-secret",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_figures_are_plain_data_without_a_number_of_anybody(agencies: PracticeAgencies) -> None:
    told = json.dumps(agencies.figures)
    assert not any(nik in told for nik in agencies.population.persons["nik"].drop_nulls() if len(nik) == 16)


def test_the_log_of_the_registry_holds_nobody(
    agencies: PracticeAgencies, mutations: RegistryMutations
) -> None:
    person = FIXED.verified
    mutations.duplicate_key(person.nik)
    mutations.change_address(person.nik, "JL BARU 1")
    with pytest.raises(psycopg.Error), agencies.registry.administrator() as connection:
        connection.execute("INSERT INTO biodata_wni (nik) VALUES (%s)", (person.nik,))
    log = agencies.registry.server.log_file.read_text(encoding="utf-8")
    assert person.nik not in log
    assert person.name not in log


def test_changes_are_what_they_say(agencies: PracticeAgencies, mutations: RegistryMutations) -> None:
    nik = FIXED.verified.nik
    deed = mutations.new_death(nik)
    assert value(agencies, f"SELECT count(*) FROM kematian WHERE no_akta = '{deed}' AND nik = '{nik}'") == 1
    mutations.absurd_death(nik)
    assert (
        value(agencies, f"SELECT max(extract(year FROM tgl_mati))::int FROM kematian WHERE nik = '{nik}'")
        == 2926
    )
    mutations.duplicate_key(nik)
    assert value(agencies, f"SELECT count(DISTINCT nama_lgkp) FROM biodata_wni WHERE nik = '{nik}'") == 2
    assert mutations.death_of_unknown_person() == UNKNOWN_NIK
    assert value(agencies, f"SELECT count(*) FROM biodata_wni WHERE nik = '{UNKNOWN_NIK}'") == 0
    mutations.change_address(nik, "JL BARU 1")
    mutations.absurd_birth_date(nik)
    mutations.move_away(nik)
    assert value(agencies, f"SELECT min(no_kab) FROM biodata_wni WHERE nik = '{nik}'") == 16


def test_a_truncated_snapshot_keeps_what_it_says(
    agencies: PracticeAgencies, mutations: RegistryMutations
) -> None:
    total = agencies.population.persons.height
    gone = mutations.truncate_snapshot(keep=0.25)
    assert value(agencies, "SELECT count(*) FROM biodata_wni") == total - gone
    assert abs(gone / total - 0.75) < 0.01


def test_garbage_is_no_number(agencies: PracticeAgencies, mutations: RegistryMutations) -> None:
    assert mutations.garbage() == agencies.population.persons.height
    assert value(agencies, "SELECT bool_and(nik LIKE '#%') FROM biodata_wni") is True


def test_a_refill_undoes_everything(agencies: PracticeAgencies, mutations: RegistryMutations) -> None:
    mutations.rename_column()
    mutations.drop_table("kematian")
    agencies.tax.books.set_standing(FIXED.verified.nik, "TIDAK VALID")
    agencies.refill()
    assert value(agencies, "SELECT count(nama_lgkp) FROM biodata_wni") != 0
    assert agencies.tax.books.rows.equals(agencies.population.tax)


def test_the_administrator_works_from_another_process(agencies: PracticeAgencies) -> None:
    elsewhere = RegistryMutations(civil_registry_at(agencies.directory))
    elsewhere.change_address(FIXED.verified.nik, "JL DARI JAUH 9")
    assert value(agencies, "SELECT count(*) FROM biodata_wni WHERE alamat = 'JL DARI JAUH 9'") == 1


def test_a_second_start_serves_what_was_left_at_the_same_ports(session_directory: Path) -> None:
    first = start(session_directory / "again", 200, 5)
    ports = [office.port for office in first.offices.values()]
    proofs = first.proofs
    secrets = first.secrets
    RegistryMutations(first.registry).change_address(FIXED.verified.nik, "JL TETAP 1")
    first.tax.books.set_standing(FIXED.verified.nik, "TIDAK VALID")
    first.stop()
    second = start(session_directory / "again", 200, 5)
    try:
        assert [office.port for office in second.offices.values()] == ports
        assert second.proofs == proofs
        assert second.secrets == secrets
        assert value(second, "SELECT count(*) FROM biodata_wni WHERE alamat = 'JL TETAP 1'") == 1
        standing = second.tax.books.rows.filter(pl.col("npwp16") == FIXED.verified.nik)
        assert standing["status_kswp"].to_list() == ["TIDAK VALID"]
    finally:
        second.stop()
    third = start(session_directory / "again", 210, 5)
    try:
        assert value(third, "SELECT count(*) FROM biodata_wni") == third.population.persons.height
    finally:
        third.stop()
        third.registry.server.remove()


def test_an_event_of_the_feed_is_never_changed_and_a_correction_is_a_new_one(
    agencies: PracticeAgencies, mutations: RegistryMutations
) -> None:
    for attempt in ("UPDATE kematian SET tgl_mati = now()", "DELETE FROM kelahiran", "TRUNCATE peristiwa"):
        with (
            pytest.raises(psycopg.errors.RaiseException),
            agencies.registry.administrator() as connection,
        ):
            connection.execute(attempt.encode())
    deed = mutations.new_death(FIXED.dies_later.nik, date(2026, 6, 1))
    mutations.correct_death(deed, date(2026, 6, 2))
    with agencies.registry.administrator() as connection:
        told = connection.execute(
            "SELECT tgl_mati FROM kematian WHERE no_akta = %s ORDER BY nomor", [deed]
        ).fetchall()
    assert told == [(date(2026, 6, 1),), (date(2026, 6, 2),)]


def test_an_event_gets_its_number_when_it_becomes_visible(agencies: PracticeAgencies) -> None:
    insert = "INSERT INTO kematian (no_akta, nik, tgl_mati) VALUES (%s, %s, '2026-06-01') RETURNING nomor"
    conninfo = agencies.registry.administrator_conninfo()
    with psycopg.connect(conninfo) as early, psycopg.connect(conninfo) as late:
        first = early.execute(insert, ["3576-KM-01062026-9001", FIXED.verified.nik]).fetchone()
        late.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            late.execute(insert, ["3576-KM-01062026-9002", FIXED.denied.nik])
        late.rollback()
        early.commit()
        second = late.execute(insert, ["3576-KM-01062026-9002", FIXED.denied.nik]).fetchone()
    assert first is not None
    assert second is not None
    assert second > first


def test_a_birth_puts_the_child_on_the_card_of_its_mother(
    agencies: PracticeAgencies, mutations: RegistryMutations
) -> None:
    mother = FIXED.guardian
    child = mutations.new_birth(mother.nik, "BAYI UJI", born=date(2026, 6, 20))
    assert child[6:12] == "600626"
    of_child = f"FROM biodata_wni WHERE nik = '{child}'"
    assert value(agencies, f"SELECT no_kk {of_child}") == mother.family_card_number
    assert value(agencies, f"SELECT nik_ayah {of_child}") == FIXED.father.nik
    assert value(agencies, f"SELECT count(*) FROM kelahiran WHERE nik = '{child}'") == 1


def test_a_move_is_an_event_and_another_address(
    agencies: PracticeAgencies, mutations: RegistryMutations
) -> None:
    nik = FIXED.verified.nik
    mutations.move_away(nik)
    assert value(agencies, f"SELECT no_kab FROM biodata_wni WHERE nik = '{nik}'") == 16
    assert value(agencies, f"SELECT no_kab FROM perpindahan WHERE nik = '{nik}'") == 16
