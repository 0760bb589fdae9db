"""`lintas witness`: made, trusted, shown, served for real, and listed from the log's side."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audit import EntryDraft, EntryKind, append
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.policy import Policy
from audit.errors import WitnessUnfit
from audit.publishing.sequencer import Sequencer
from audit.witnesses.folder import WitnessFolder
from foundation.database import Role
from foundation.files import make_private_directory
from foundation.installation import Installation
from foundation.settings import Settings
from lintas import loopback
from lintas.cli import app
from lintas.demo_witness import with_practice_witness
from lintas.health import health_of, process_names
from lintas.processes import bus_processes
from lintas.status import gather
from lintas.witness_status import Witnessing, WitnessSeen
from web.witness import configured

ROOT = Path(__file__).parents[2]


def run(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


@pytest.fixture
def made(tmp_path, installation):
    """A witness made and told of the installation's log by the command line, over TLS."""
    folder, keys = tmp_path / "witness", tmp_path / "log-keys"
    keys.write_text("# the log\n" + "".join(f"{key}\n" for key in log_verifier_keys(installation)))
    words = ["--name", "ombudsman.example.go.id/witness", "--port", free_port(), "--tls-host", "localhost"]
    fields = json.loads(run("witness", "init", folder, *words, "--json"))
    run("witness", "trust", folder, "--keys", keys)
    return folder, fields


@pytest.fixture
def running(made):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LINTAS_")}
    command = [sys.executable, "-m", "lintas", "witness", "run", str(made[0])]
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    port = int(made[1]["policy_lines"][0].rsplit(":", 1)[1])
    try:
        deadline = time.monotonic() + 60
        while not answers(port, made[0]):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def answers(port, folder):
    try:
        return loopback.ask(port, "/health", ca_file=folder / "tls" / "ca.pem").status == 200
    except OSError:
        return False


def test_a_witness_of_its_own_cosigns_over_tls_and_ends_when_asked(made, running, installation, tmp_path):
    folder, fields = made
    policy = tmp_path / "policy"
    policy.write_text(f"{fields['policy_lines'][0]}\nquorum ombudsman\n")
    given = {"log_policy": policy, "witness_ca_file": fields["authority"]}
    witnessed = Installation.open(Settings(**installation.settings.model_dump() | given))
    with Sequencer(witnessed) as sequencer:
        with witnessed.database.connect(Role.API) as connection:
            append(connection, EntryDraft(kind=EntryKind.AUDIT_VIEWED, actor="test"))
        sequencer.settle()
    found = gather(witnessed).witnessing
    assert (found.independent, found.tree_size, found.problems) == (1, 1, [])
    assert json.loads(run("witness", "show", folder, "--json"))["seen"] == [
        f"{witnessed.settings.log_origin}: 1 entries"
    ]
    assert health_of(Settings(witness_directory=folder), "witness")()
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) in (0, -signal.SIGTERM)
    assert not health_of(Settings(witness_directory=folder), "witness")()
    with Sequencer(witnessed) as sequencer:
        sequencer.settle()
    (name,) = [each.name for each in gather(witnessed).witnessing.witnesses if each.trouble]
    assert name == "ombudsman"
    troubles = [each for each in gather(witnessed).troubles if each.next == "lintas witness list"]
    assert "exchanges stop at" in troubles[0].what


def test_the_line_for_policy_files_can_be_read(made):
    policy = Policy.parse(f"{made[1]['policy_lines'][0]}\nquorum ombudsman\n")
    assert policy.witnesses[0].url.startswith("https://localhost:")


def test_a_second_witness_does_not_take_the_place_of_the_first(made):
    before = (made[0] / "keys").read_bytes()
    run("witness", "init", made[0], "--name", "other.example/w", code=1)
    assert (made[0] / "keys").read_bytes() == before


def test_a_witness_that_would_be_reached_from_afar_without_tls_does_not_start(tmp_path):
    run("witness", "init", tmp_path / "w", "--name", "w.example/w", "--host", "0.0.0.0")
    with pytest.raises(WitnessUnfit, match="without TLS"):
        configured(WitnessFolder(tmp_path / "w"))


def test_an_unknown_algorithm_is_named(tmp_path):
    output = run("witness", "init", tmp_path / "w", "--name", "w.example/w", "--algorithm", "rsa", code=2)
    assert "ed25519, ml-dsa-44" in output


def test_the_supervisor_runs_a_witness_only_where_there_is_one(tmp_path):
    make_private_directory(tmp_path / "home")
    without = Settings(home=tmp_path / "home")
    assert "witness" not in {each.name for each in bus_processes(without)}
    given = without.model_copy(update={"witness_directory": tmp_path / "w"})
    (spec,) = [each for each in bus_processes(given) if each.name == "witness"]
    assert spec.command[-3:] == ("witness", "run", str(tmp_path / "w"))
    assert not spec.after
    assert "witness" in process_names(without)


def test_what_a_person_should_look_at_is_said_in_order():
    assert Witnessing().problems == []
    troubled = [WitnessSeen("kpk", 3, None, "agency-unreachable"), WitnessSeen("bpk", 3, None, None)]
    found = Witnessing(troubled, 3, 1, trouble="1 independent witnesses, the quorum is NOT met")
    assert found.problems == [
        "witnesses: 1 independent witnesses, the quorum is NOT met",
        "the witness kpk: agency-unreachable",
    ]


@pytest.mark.parametrize("text", ["none", None])
def test_none_is_a_policy_that_names_nobody(text):
    given = {} if text is None else {"log_policy": text, "witness_ca_file": text}
    assert (Settings(**given).log_policy, Settings(**given).witness_ca_file) == (None, None)


def test_the_demo_brings_a_witness_of_its_own_and_keeps_it(settings):
    made = with_practice_witness(settings)
    policy = Policy.load(made.log_policy)
    keys = log_verifier_keys(Installation.open(made))
    assert list(policy.log_keys(keys)) == list(keys)
    assert [each.name for each in policy.witnesses] == ["practice"]
    assert [spec.name for spec in bus_processes(made)][-1] == "witness"
    before = (made.witness_directory / "keys").read_bytes()
    assert with_practice_witness(settings) == made
    assert (made.witness_directory / "keys").read_bytes() == before
    assert with_practice_witness(made) is made
