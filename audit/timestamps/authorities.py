"""Whom this log lets stamp its checkpoints: one YAML file, and the certificates that it names.

```yaml
every_minutes: 60             # a changed checkpoint is stamped this often, by each authority
clock_tolerance_seconds: 60   # by how much an authority's time and ours may differ
authorities:
  - name: bsre
    url: https://tsa.example.go.id/tsr
    roots: bsre-roots.pem     # whom its tokens are trusted by; intermediate certificates may stand there too
    policy: 2.16.360.1.1      # optional: the only policy that is taken
    tls_authority: ca.pem     # optional: who vouches for the server; the system's authorities by default
    user: lintas              # optional, with password_file
    password_file: tsa.password
```

Files are found from the folder of this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from audit.timestamps.errors import TimestampMisconfigured
from foundation.errors import Location
from schemas.marked_yaml import YamlProblem, read_marked_yaml

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import Verifier

__all__ = ["Authority", "TimestampSettings", "read_roots"]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_Oid = Annotated[str, StringConstraints(pattern=r"^[0-2](\.(0|[1-9][0-9]*)){1,20}$")]
_Name = Annotated[str, StringConstraints(pattern=rf"^{_NAME.pattern}$", max_length=40)]
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Authority:
    """One timestamping authority, and whom its tokens are trusted by."""

    name: str
    roots: tuple[Certificate, ...] = field(repr=False)
    intermediates: tuple[Certificate, ...] = field(default=(), repr=False)
    policy: str | None = None
    url: str = ""
    tls_authority: Path | None = None
    user: str | None = None
    password: SecretStr | None = field(default=None, repr=False)

    def verifier(self) -> Verifier:
        """Checks a token's signature and chain, as of the time in it."""
        from rfc3161_client import VerifierBuilder

        return VerifierBuilder(roots=list(self.roots), intermediates=list(self.intermediates)).build()


@dataclass(frozen=True, slots=True)
class TimestampSettings:
    """How often which authorities are asked."""

    authorities: tuple[Authority, ...] = ()
    every: timedelta = timedelta(minutes=60)
    clock_tolerance: timedelta = timedelta(seconds=60)

    @classmethod
    def load(cls, file: Path) -> TimestampSettings:
        """Read the file and every certificate that it names.

        Raises:
            TimestampMisconfigured: when any of it cannot be used.
        """
        try:
            found = _File.model_validate(read_marked_yaml(file.read_bytes()).data)
        except OSError as error:
            raise _unusable(file, "it cannot be read") from error
        except YamlProblem as problem:
            raise _unusable(file, str(problem), problem.line) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise _unusable(file, f"{where}: {first['msg']}") from None
        names = [each.name for each in found.authorities]
        if len(set(names)) != len(names):
            raise _unusable(file, "two authorities have one name")
        return cls(
            tuple(each.opened(file) for each in found.authorities),
            timedelta(minutes=found.every_minutes),
            timedelta(seconds=found.clock_tolerance_seconds),
        )


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    url: str = Field(max_length=500)
    roots: str = Field(min_length=1)
    policy: _Oid | None = None
    tls_authority: str | None = None
    user: str | None = None
    password_file: str | None = None

    def opened(self, file: Path) -> Authority:
        from foundation.files import read_private

        problem = self._problem()
        if problem is not None:
            raise _unusable(file, f"{self.name}: {problem}")
        folder = file.parent
        roots, intermediates = read_roots(folder / self.roots)
        password = None
        if self.password_file is not None:
            password = SecretStr(read_private(folder / self.password_file).decode().strip())
        return Authority(
            self.name,
            roots,
            intermediates,
            self.policy,
            self.url,
            folder / self.tls_authority if self.tls_authority else None,
            self.user,
            password,
        )

    def _problem(self) -> str | None:
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return "its url is none"
        if not host or parts.scheme not in {"http", "https"} or parts.username or parts.fragment:
            return "its url is not https://host/path"
        if parts.scheme == "http" and host not in _LOOPBACK:
            return "write https: only a server on this machine is asked without TLS"
        if (self.user is None) != (self.password_file is None):
            return "user and password_file stand together"
        return None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    every_minutes: int = Field(60, ge=1, le=7 * 24 * 60)
    clock_tolerance_seconds: int = Field(60, ge=1, le=3600)
    authorities: tuple[_Described, ...] = Field(min_length=1, max_length=16)


def read_roots(file: Path) -> tuple[tuple[Certificate, ...], tuple[Certificate, ...]]:
    """The roots and the intermediate certificates in a PEM file.

    Raises:
        TimestampMisconfigured: when there is no root among them.
    """
    from cryptography.x509 import load_pem_x509_certificates

    try:
        found = load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable(file, "it holds no certificates (PEM)") from error
    roots = tuple(each for each in found if each.issuer == each.subject)
    if not roots:
        raise _unusable(file, "none of its certificates is a root: trust must end in one that signs itself")
    return roots, tuple(each for each in found if each.issuer != each.subject)


def _unusable(file: Path, why: str, line: int | None = None) -> TimestampMisconfigured:
    location: Any = Location(file=str(file), line=line)
    return TimestampMisconfigured(
        "The timestamping authorities cannot be used.",
        why=why,
        remedy="Mend the file as the page on timestamps shows.",
        location=location,
    )
