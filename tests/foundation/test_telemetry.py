import io
import json
import logging
import time

import psycopg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from foundation import telemetry
from foundation.redaction import redact, redact_text
from foundation.settings import Settings


@pytest.fixture
def lines(settings):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:
        root.removeHandler(handler)
    stream = io.StringIO()
    telemetry.configure("test", settings, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


def test_a_line_that_comes_with_every_request_says_the_same_and_is_as_clean(lines):
    for _ in range(2):
        telemetry.write_line(
            "web.access", "request", request_id="00ff", route="/v1/x/3576021908900001", nik="x", status=201
        )
    written, _ = lines()
    assert written.pop("timestamp").endswith("Z")
    assert written == {
        "event": "request",
        "level": "info",
        "logger": "web.access",
        "process": "test",
        "request_id": "00ff",
        "route": "/v1/x/‹identifier›",
        "nik": "‹hidden›",
        "status": 201,
    }


def test_an_event_is_one_line_of_json(lines):
    log = telemetry.logger("records.sync")
    with telemetry.bind(run_id="r1"):
        log.info("page landed", rows=10, dataset="kpp-mojokerto/tax-standing")
    logging.getLogger("uvicorn").warning("port %d is busy", 8800)
    first, second = lines()
    assert (
        first.items()
        >= {
            "event": "page landed",
            "rows": 10,
            "run_id": "r1",
            "process": "test",
            "level": "info",
            "logger": "records.sync",
        }.items()
    )
    assert second["event"] == "port 8800 is busy"


def test_the_canary_reaches_no_log_however_it_is_logged(lines, canary):
    log = telemetry.logger("x")
    spaced = " ".join(canary.nik[start : start + 4] for start in range(0, 16, 4))
    log.info(f"checking {canary.nik} and {spaced} and {canary.nik[:6]}.{canary.nik[6:]}")
    log.info("%s for %s", "row", canary.nik)
    log.info("x", nik=canary.nik, name=canary.name, row={"a": canary.name}, number=int(canary.nik))
    log.info("x", nested={"deep": [{"nama_lgkp": canary.name, "other": canary.nik}]}, raw=b"x")
    log.info("x", items=[canary.nik, (canary.nik,)], **{canary.nik: 1})
    logging.getLogger("library").error("bad value %s", canary.nik)
    try:
        raise ValueError(canary.nik)
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed")
    text = json.dumps(lines(), ensure_ascii=False)
    assert canary.found_in(text) == []
    assert canary.found_in(text.replace(" ", "").replace(".", "")) == []


def test_secrets_reach_no_log(lines):
    log = telemetry.logger("x")
    log.info("connect postgresql://lintas:hunter2@host/db", password="hunter2", url="https://u:hunter2@h/")
    log.info("Authorization: Bearer hunter2hunter2", authorization="Basic hunter2hunter2")
    log.info("conninfo host=/x password=hunter2 dbname=x", token="hunter2", client_secret="hunter2")
    log.info("eyJhbGciOiJFZERTQSJ9.eyJodW50ZXIyIjoxfQ.hunter2")
    log.info("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----")
    assert "hunter2" not in json.dumps(lines())


def test_a_database_error_reaches_no_log_with_its_values(lines, canary):
    try:
        raise psycopg.errors.UniqueViolation(
            f"DETAIL:  Key (nik, name)=({canary.nik}, {canary.name}) exists."
        )
    except psycopg.Error:
        telemetry.logger("x").exception("failed")
    assert canary.found_in(json.dumps(lines(), ensure_ascii=False)) == []


def test_technical_ids_and_small_numbers_stay_readable():
    kept = {"trace_id": "1" * 32, "rows": 200000, "seconds": 1.5, "ok": True, "none": None, "port": 8800}
    assert redact(kept) == kept
    text = "2026-11-21T20:34:05.123456Z landed 200,000 rows of dukcapil-mojokerto/persons in 1.25 s, 0.81 ms"
    assert redact_text(text) == text
    assert redact(b"abc") == "‹3 bytes›"


@given(
    st.text(alphabet="0123456789", min_size=15, max_size=22),
    st.text(st.characters(exclude_categories=["Nd", "Cs"]), max_size=20).filter(
        lambda text: text[-1:] not in "."
    ),
    st.sampled_from(["", ".", " ", "-"]),
)
def test_no_long_number_passes_whatever_stands_around_it(digits, around, separator):
    written = separator.join([digits[:6], digits[6:12], digits[12:]])
    shown = redact_text(f"{around} {written} {around}")
    assert written not in shown


@given(st.recursive(st.none() | st.text() | st.integers() | st.binary(), st.lists, max_leaves=20))
def test_whatever_is_logged_comes_out_as_json(value):
    json.dumps(redact({"x": value}))


def test_something_that_holds_itself_does_not_hang():
    loop = []
    loop.append(loop)
    json.dumps(redact(loop))


def test_a_log_file_is_private(settings):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:
        root.removeHandler(handler)
    path = settings.home / "logs" / "api.log"
    telemetry.configure("api", Settings(home=settings.home, log_level="WARNING"), log_file=path)
    telemetry.logger("x").info("quiet")
    telemetry.logger("x").warning("loud")
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["loud"]
    assert path.stat().st_mode & 0o077 == 0


def test_logging_that_belongs_to_somebody_else_is_guarded_too(canary):
    stream = io.StringIO()
    library = logging.getLogger()
    handler = logging.StreamHandler(stream)
    library.addHandler(handler)
    structlog.configure(
        processors=[structlog.processors.JSONRenderer(ensure_ascii=False)],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    try:
        telemetry.guard()
        telemetry.guard()
        assert len(handler.filters) == 1
        log = structlog.get_logger()
        log.warning(f"seen {canary.nik}", name=canary.name)
        try:
            raise ValueError(canary.nik)
        except ValueError:
            log.exception("failed", exc_info=True)
            library.exception("failed for %s", canary.nik)
        assert "ValueError: ‹identifier›" in stream.getvalue()
        assert canary.found_in(stream.getvalue()) == []
    finally:
        library.removeHandler(handler)
        for other in library.handlers:
            other.filters[:] = [known for known in other.filters if type(known).__name__ != "_RedactRecords"]
        structlog.reset_defaults()


def test_a_span_carries_no_value_and_marks_errors_by_code(monkeypatch, canary):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    def fail():
        with telemetry.span("land", nik=canary.nik, note=canary.nik, n=3):
            assert len(telemetry.trace_id()) == 32
            raise ValueError(canary.nik)

    with pytest.raises(ValueError, match="3576"):
        fail()
    (span,) = exporter.get_finished_spans()
    assert span.attributes["n"] == 3
    assert span.status.description == "ValueError"
    assert canary.found_in(span.to_json()) == []
    provider.shutdown()


def test_without_a_collector_nothing_is_traced():
    with telemetry.span("land", rows=1):
        assert telemetry.trace_id() is None
    telemetry.count("lintas.pages", 2, dataset="a/b")
    telemetry.observe("lintas.seconds", 0.1)


@pytest.mark.parametrize(
    "piece",
    ["a", "eyJ", "a://", "Key (", "Key (a)=(", "1 ", "password ", "bearer ", "-----BEGIN PRIVATE KEY-----"],
)
def test_a_long_text_costs_no_more_than_its_length(piece):
    def seconds(length):
        text = piece * (length // len(piece))
        started = time.process_time()
        redact_text(text)
        return time.process_time() - started

    seconds(1_000)
    assert seconds(200_000) < 60 * max(seconds(20_000), 0.002)


def test_the_value_of_a_key_is_hidden_however_the_key_is_made_and_where_the_text_ends():
    assert "Kenari" not in redact_text("DETAIL:  Key (lower(name::text), a)=(Kenarikuning) already exists.")
    assert "Kenari" not in redact_text("DETAIL:  Key (name)=(Kenarikuning, cut\nnext line")
    assert "next line" in redact_text("DETAIL:  Key (name)=(Kenarikuning, cut\nnext line")
