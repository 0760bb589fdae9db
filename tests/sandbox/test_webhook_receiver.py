"""What a portal that practises takes for a notice, and what it does not."""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlsplit

from foundation.installation import Installation
from sandbox.webhook_receiver import WebhookReceiver


def test_a_notice_whose_sender_dies_within_it_is_neither_taken_nor_refused(
    installation: Installation,
) -> None:
    receiver = WebhookReceiver(installation.authority, list)
    receiver.start()
    try:
        place = urlsplit(receiver.url)
        trust = ssl.create_default_context(cafile=str(installation.authority.ca_path))
        for body in (b"", b'{"specversion": '):
            plain = socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=20)
            with trust.wrap_socket(plain, server_hostname=place.hostname) as line:
                head = f"POST {place.path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-length: 500\r\n"
                line.sendall(head.encode() + b"content-type: application/cloudevents+json\r\n\r\n" + body)
                time.sleep(0.2)
        time.sleep(0.5)
        assert receiver.refused == receiver.deliveries == []
    finally:
        receiver.stop()
