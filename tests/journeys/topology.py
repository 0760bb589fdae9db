"""The containers of docker/compose.yaml as plain processes on loopback: same commands, same environment.

What a container engine would do is done here by substitution: a volume is a folder, a host name is
`localhost`, a port is a free one, a replica is a second process. PostgreSQL's image is the embedded server's
binaries, with the configuration, the account and the `initdb` arguments of the file.
"""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from foundation.postgres_account import choose_account, usable_binaries
from foundation.settings import Settings
from lintas.health import health_of
from lintas.supervisor import ProcessSpec, RestartPolicy, Supervisor
from tests.docker.resolved import DOCKER, services
from tests.journeys.postgres_tls import NegotiatedTlsFront

REPLICATED = ("api", "airflow-worker")
PRACTICE = ("sandbox", "introduction")
OPTIONAL = ("witness",)  # runs elsewhere, for somebody else's log
PORTS = ("public", "database", "broker", "airflow", "api-1", "api-2", "civil", "tax", "licensing", "health")


#: What of the home every container of ours sees.
SHARED = ("airflow", "data-docs", "keys.passphrase", "log", "logs", "run", "sandbox", "tls")


def hidden_from(service: Mapping[str, Any]) -> set[str]:
    """The folders of the home over which an empty one lies in a container."""
    home = "/var/lib/lintas/"
    covered = {each.split(":")[0] for each in service.get("tmpfs", [])}
    return {each.removeprefix(home) for each in covered if each.startswith(home)} - {"run"}


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Topology:
    """Everything that compose.yaml describes, started and ended as two groups: the bus, and the agencies."""

    def __init__(self, directory: Path, *, stay_down: Sequence[str] = (), **settings: str) -> None:
        self.directory = directory
        self.stay_down = stay_down
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.home = directory / "home"
        self.extra = settings
        self.front: NegotiatedTlsFront | None = None
        self.services = services(
            LINTAS_API_PUBLIC_URL=self.public_url, LINTAS_LOG_ORIGIN="topology.example/log",
            LINTAS_AIRFLOW_PARALLELISM="2", LINTAS_PEOPLE="1000",
        )  # fmt: skip
        self.services = {name: each for name, each in self.services.items() if name not in OPTIONAL}
        self._lay_out()
        self.bus = Supervisor(self.home, self._specs(without=PRACTICE))
        self.agencies = Supervisor(directory / "practice", self._specs(only=PRACTICE))

    @property
    def socket_directory(self) -> Path:
        return self.directory / "socket"

    @property
    def public_url(self) -> str:
        return f"https://localhost:{self.ports['public']}"

    def settings(self, process: str = "init") -> Settings:
        """The settings of a process, read from its environment as it reads them."""
        values = self.environment(process).items()
        names = {name.removeprefix("LINTAS_").lower(): value for name, value in values if "LINTAS_" in name}
        return Settings(**names)

    def end(self) -> None:
        """End what still runs: the agencies, the bus, and what the engine would have done."""
        self.agencies.stop()
        self.bus.stop()
        if self.front is not None:
            self.front.stop()

    def environment(self, process: str) -> dict[str, str]:
        service = self.services[service_of(process)]
        found = {name: self._here(str(value)) for name, value in (service.get("environment") or {}).items()}
        if hidden := hidden_from(service):
            found["LINTAS_HOME"] = str(self._home_without(hidden, process))
        if service["image"].startswith("lintas"):
            temporary = self.directory / "tmp" / process
            temporary.mkdir(parents=True, exist_ok=True)
            ports = {
                "LINTAS_API_PORT": self.ports.get(process, self.ports["api-1"]),
                "LINTAS_AIRFLOW_PORT": self.ports["airflow"],
                "LINTAS_SANDBOX_CIVIL_REGISTRY_PORT": self.ports["civil"],
                "LINTAS_SANDBOX_TAX_OFFICE_PORT": self.ports["tax"],
                "LINTAS_SANDBOX_LICENSING_OFFICE_PORT": self.ports["licensing"],
                "LINTAS_SANDBOX_HEALTH_OFFICE_PORT": self.ports["health"],
            }
            found |= {name: str(port) for name, port in ports.items()} | self.extra
            found |= {"HOME": str(temporary), "TMPDIR": str(temporary)}
            found |= {"LINTAS_SANDBOX_HOST": "localhost"}
        return found | {"PATH": f"{Path(sys.executable).parent}:{usable_binaries()}:{os.environ['PATH']}"}

    def _home_without(self, hidden: set[str], process: str) -> Path:
        """The home as a container sees it over part of which empty folders lie."""
        covered = self.directory / "covered" / process
        for name in hidden:
            (covered / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in SHARED:
            if not (covered / name).is_symlink():
                (covered / name).symlink_to(self.home / name)
        return covered

    def command(self, process: str) -> list[str]:
        words = [self._here(word) for word in self.services[service_of(process)]["command"]]
        if process.startswith("airflow-worker"):  # containers have host names of their own
            words += ["--celery-hostname", worker_name(process)]
        if process == "redis":
            port, bind = str(self.ports["broker"]), "127.0.0.1"
            words += ["--tls-port", port, "--bind", bind]
        if process == "database":
            words = [*self._as_server_account(), *words, "-c", "listen_addresses="]
            words += ["-c", f"unix_socket_directories={self.socket_directory}"]
            words += ["-c", "fsync=off", "-c", "shared_buffers=128MB"]
        return words

    def health_command(self, process: str) -> list[str]:
        test = [self._here(word) for word in self.services[service_of(process)]["healthcheck"]["test"]]
        kind, words = test[0], test[1:]
        if process.startswith("airflow-worker"):
            words += ["--worker", worker_name(process)]
        return words if kind == "CMD" else ["sh", "-c", *words]

    def _health(self, process: str) -> Callable[[], bool]:
        """What the container's health check says; ours are asked without starting a process for it."""
        if "healthcheck" not in self.services[service_of(process)]:
            return lambda: True
        if process in {"database", "redis"}:
            command, environment = self.health_command(process), self.environment(process)
            return lambda: succeeds(command, environment)
        worker = worker_name(process) if process.startswith("airflow-worker") else ""
        return health_of(self.settings(process), service_of(process), worker=worker)

    def processes(self, *, without: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> list[str]:
        chosen = [name for name in self.services if name not in without and (not only or name in only)]
        return [
            process
            for name in chosen
            for process in ([f"{name}-1", f"{name}-2"] if name in REPLICATED else [name])
        ]

    def _specs(self, *, without: tuple[str, ...] = (), only: tuple[str, ...] = ()) -> list[ProcessSpec]:
        names = self.processes(without=without, only=only)
        waits = {
            name: tuple(
                each for each in self.services[service_of(name)].get("depends_on", {}) if each in names
            )
            for name in names
        }
        specs = []
        while waits:  # in the order in which they start
            for name in [name for name, after in waits.items() if not set(after) & set(waits)]:
                specs.append(self._spec(name, waits.pop(name)))
        return specs

    def _spec(self, name: str, after: tuple[str, ...]) -> ProcessSpec:
        service = self.services[service_of(name)]
        return ProcessSpec(
            name,
            self.command(name),
            self.environment(name),
            healthy=Unhurried(self._health(name)),
            restart=RestartPolicy(600.0, 600.0) if name in self.stay_down else RestartPolicy(),
            once="healthcheck" not in service,
            after=after,
            prepare=self._initialise_database if name == "database" else lambda: None,
            start_timeout=300.0,
            stop_timeout=20.0,
        )

    def _here(self, text: str) -> str:
        ports, directory = self.ports, self.directory
        for there, here in (
            ("/run/lintas", str(directory / "secrets")),
            ("/etc/lintas", str(directory / "etc")),
            ("/var/lib/lintas", str(self.home)),
            ("@database:5432", f"@localhost:{ports['database']}"),
            ("--host=localhost", f"--host={self.socket_directory}"),
            ("ssl = on", "ssl = off"),  # the binaries at hand know no TLS: a front ends it for them
            ("//redis:6379", f"//localhost:{ports['broker']}"),
            ("-p 6379", f"-p {ports['broker']}"),
            ("//airflow-api-server:8810", f"//127.0.0.1:{ports['airflow']}"),
        ):
            text = text.replace(there, here)
        return {"0.0.0.0": "127.0.0.1"}.get(text, text)

    def _lay_out(self) -> None:
        self.directory.chmod(0o755)
        (self.directory / "etc").mkdir()
        (self.directory / "secrets" / "queue").mkdir(parents=True)
        for file in DOCKER.glob("*.conf"):
            (self.directory / "etc" / file.name).write_text(self._here(file.read_text(encoding="utf-8")))

    def _initialise_database(self) -> None:
        """What the entry point of PostgreSQL's image does, as the account that owns the volume."""
        account, data = choose_account(), self.directory / "postgres"
        environment = self.environment("database")
        secrets = Path(environment["POSTGRES_PASSWORD_FILE"]).parent
        for path in [secrets, *secrets.iterdir()]:
            account.own(path)
        if data.exists():
            return
        self.front = NegotiatedTlsFront(
            secrets / "server.pem", secrets / "server.key", self.socket_directory / ".s.PGSQL.5432"
        )
        self.front.start(self.ports["database"])
        for folder in (data, self.socket_directory):
            folder.mkdir(mode=0o700)
            account.own(folder)
        command = ["initdb", "--pgdata", str(data), "--username", environment["POSTGRES_USER"], "--no-sync"]
        command += ["--pwfile", environment["POSTGRES_PASSWORD_FILE"]]
        command += environment["POSTGRES_INITDB_ARGS"].split()
        done = subprocess.run(
            command, env=environment, cwd="/", check=False, capture_output=True, text=True,
            **account.popen_arguments(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _as_server_account(self) -> list[str]:
        account = choose_account()
        data = ["env", f"PGDATA={self.directory / 'postgres'}"]
        if account.uid is None:
            return data
        ids = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
        return [*data, "setpriv", *ids]


def succeeds(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0


def worker_name(process: str) -> str:
    return f"{process}@localhost"


def service_of(process: str) -> str:
    name, _, number = process.rpartition("-")
    return name if number.isdigit() else process


class Unhurried:
    """Asks no more often than a container engine might: health checks are not what is measured here."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._well = False
        self._next = 0.0

    def __call__(self) -> bool:
        if time.monotonic() >= self._next:
            self._well = self._ask()
            self._next = time.monotonic() + (5.0 if self._well else 0.7)
        return self._well


class RoundRobin:
    """A proxy in front of the API processes: each new connection goes to the next of them, unopened."""

    def __init__(self, port: int, targets: list[int]) -> None:
        self._targets = targets
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> "RoundRobin":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for each in self._open:
            each.close()

    def _serve(self) -> None:
        number = 0
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            target = socket.create_connection(("127.0.0.1", self._targets[number % len(self._targets)]))
            number += 1
            self._open += [client, target]
            for source, sink in ((client, target), (target, client)):
                thread = threading.Thread(target=_pass_on, args=(source, sink), daemon=True)
                self._threads.append(thread)
                thread.start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            sink.sendall(part)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
