"""A timestamping authority on loopback: RFC 3161 over HTTP, its tokens made by the real `openssl ts`."""

import contextlib
import datetime
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TST_INFO = "1.2.840.113549.1.9.16.1.4"
STAMPING = (ExtendedKeyUsageOID.TIME_STAMPING,)
DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Certified:
    """A key and its certificate: of a root, an authority below it, or a signer."""

    def __init__(self, name, issuer=None, *, usages=None, critical=True, days=(-1, 30)):
        self.key = ec.generate_private_key(ec.SECP256R1())
        present, above = datetime.datetime.now(datetime.UTC), issuer or self
        is_authority = usages is None
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(above.certificate.subject if issuer else _name(name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(present + days[0] * DAY)
            .not_valid_after(present + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=critical)
        self.certificate = builder.sign(above.key, hashes.SHA256())

    @property
    def pem(self):
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self):
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Pki:
    """A root, a timestamping authority below it, and what that signs with."""

    def __init__(self, folder):
        self.folder = folder
        self.root = Certified("Practice Root")
        self.below = Certified("Practice Timestamping CA", self.root)
        self.signer = Certified("Practice TSA", self.below, usages=STAMPING)
        self.roots = folder / "roots.pem"
        self.roots.write_bytes(self.root.pem)

    def stamping(self, folder, **options):
        return Stamping(folder, self.signer, [self.below, self.root], **options)

    def describe(self, file, *servers, every=60, **changes):
        """Write the file of authorities that an operator would."""
        authorities = [
            {"name": f"tsa-{number}", "url": each.url, "roots": str(self.roots), **changes}
            for number, each in enumerate(servers, 1)
        ]
        file.write_text(yaml.safe_dump({"every_minutes": every, "authorities": authorities}))
        return file


class Stamping:
    """What an authority signs with: `openssl ts -reply` as installed on the machine."""

    def __init__(self, folder, signer, chain=(), digests="sha256"):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "signer.pem").write_bytes(signer.pem)
        (folder / "signer.key").write_bytes(signer.key_pem)
        (folder / "chain.pem").write_bytes(b"".join(each.pem for each in chain) or signer.pem)
        (folder / "serial").write_text("01")
        lines = [
            "[tsa]", "default_tsa = practice", "[practice]", f"serial = {folder}/serial",
            f"signer_cert = {folder}/signer.pem", f"signer_key = {folder}/signer.key",
            f"certs = {folder}/chain.pem", "signer_digest = sha256", "default_policy = 1.2.3.4.1",
            f"digests = {digests}", "accuracy = secs:1", "tsa_name = yes", "ess_cert_id_alg = sha256",
        ]  # fmt: skip
        (folder / "openssl.cnf").write_text("\n".join(lines) + "\n")

    def reply(self, query):
        """The reply to a request."""
        (self.folder / "query").write_bytes(query)
        self._openssl("ts", "-reply", "-config", "openssl.cnf", "-queryfile", "query", "-out", "reply")
        return (self.folder / "reply").read_bytes()

    def info(self, reply):
        """The signed content (TSTInfo) of a reply."""
        (self.folder / "reply").write_bytes(reply)
        self._openssl("ts", "-reply", "-in", "reply", "-token_out", "-out", "token", "-config", "openssl.cnf")
        self._openssl("cms", "-verify", "-noverify", "-inform", "DER", "-in", "token", "-out", "info")
        return (self.folder / "info").read_bytes()

    def signed(self, info, signer, *, names_signer=True):
        """A reply with other content, or by a signer that `openssl ts` would refuse."""
        (self.folder / "info").write_bytes(info)
        (self.folder / "other.pem").write_bytes(signer.pem + signer.key_pem)
        words = ["-cades"] if names_signer else []
        self._openssl(
            "cms", "-sign", "-binary", "-nodetach", "-md", "sha256", "-econtent_type", TST_INFO, *words,
            "-in", "info", "-signer", "other.pem", "-certfile", "chain.pem",
            "-outform", "DER", "-out", "token",
        )  # fmt: skip
        return sequence(sequence(b"\x02\x01\x00") + (self.folder / "token").read_bytes())

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True, timeout=30)


def sequence(content):
    size = len(content)
    length = (
        bytes([size])
        if size < 128
        else bytes([0x81, size])
        if size < 256
        else b"\x82" + size.to_bytes(2, "big")
    )
    return b"\x30" + length + content


class TimestampServer:
    """Answers under one address, until it is stopped; what it answers can be changed."""

    def __init__(self, answer, context=None):
        self.answer, self._context = answer, context
        self.asked = []
        self.status = 200
        self.credentials = []
        self._http = None
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"http{'s' if self._context else ''}://localhost:{self.port}/tsr"

    def start(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                query = self.rfile.read(int(self.headers["Content-Length"]))
                server.asked.append(query)
                server.credentials.append(self.headers["Authorization"])
                assert self.headers["Content-Type"] == "application/timestamp-query"
                body = server.answer(query)
                self.send_response(server.status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # whoever asked had enough
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = False
        if self._context is not None:
            self._http.socket = self._context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self):
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()
            self._http = None
