"""What the log makes of the answers of a witness, those of tlog-witness and others."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from audit.checkpoints.cosignatures import Cosigner
from audit.checkpoints.policy import Witness
from audit.errors import LogForked, PolicyInvalid
from audit.tree.tiles import consistency_proof
from audit.witnesses.client import WitnessClient
from audit.witnesses.witness import AddCheckpoint
from foundation import clock
from tests.audit.practice_log import PracticeLog

LOG = PracticeLog()
COSIGNER = Cosigner("kpk.example/witness", 0x06, bytes([9]) * 32)
SIZE, PLAIN = "text/x.tlog.size", "text/plain; charset=utf-8"


@pytest.fixture
def server():
    """Answers what it is told to, and keeps what it was asked."""

    class Told(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.asked.append(AddCheckpoint.parse(body))
            status, kind, answer = told.answers.pop(0)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    told = HTTPServer(("127.0.0.1", 0), Told)
    told.asked, told.answers = [], []
    thread = threading.Thread(target=told.serve_forever, args=(0.01,))
    thread.start()
    yield told
    told.shutdown()
    thread.join()
    told.server_close()


@pytest.fixture
def add(server):
    """Shows the witness a tree of 9 entries, from the size that it is thought to have seen."""

    def shown(*answers, seen=5):
        server.answers = [(status, kind, text.encode()) for status, kind, text in answers]
        client = WitnessClient(
            Witness("w", COSIGNER.key, f"http://127.0.0.1:{server.server_port}"), seen=seen
        )
        try:
            return client.add(LOG.note(9), lambda old, new: consistency_proof(LOG, old, new), 5.0)
        finally:
            client.close()

    return shown


def cosigned(moment):
    return 200, PLAIN, COSIGNER.cosign(LOG.checkpoint(9).text(), moment).line()


def test_a_stale_request_is_made_again_from_the_size_that_was_answered(add, server):
    answer = add((409, SIZE, "7\n"), cosigned(clock.now()))
    assert (len(answer.cosignatures), answer.trouble) == (1, None)
    assert [(each.old_size, len(each.proof) > 0) for each in server.asked] == [(5, True), (7, True)]


@pytest.mark.parametrize(
    "answer", [(409, PLAIN, ""), (409, PLAIN, "no"), (409, SIZE, "9\n"), (422, PLAIN, "")]
)
def test_another_root_of_the_same_size_is_a_fork_however_it_is_said(add, answer):
    with pytest.raises(LogForked):
        add(answer, seen=9)


def test_a_conflict_without_a_size_says_nothing_of_a_size_that_was_not_shown(add):
    assert add((409, PLAIN, "no"), seen=5).trouble == "note-invalid"


def test_a_cosignature_that_states_no_time_is_not_taken(add):
    answer = add(cosigned(clock.now().fromtimestamp(0, clock.now().tzinfo)))
    assert (answer.cosignatures, answer.trouble) == ((), "it answered a cosignature without a time")


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://[::1/", "http://127.0.0.1:1/\udc80"])
def test_a_url_that_cannot_be_read_is_an_error_of_the_policy(url):
    with pytest.raises(PolicyInvalid):
        WitnessClient(Witness("w", COSIGNER.key, url))
