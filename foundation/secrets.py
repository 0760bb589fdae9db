"""References to secrets, and the one place that resolves them.

A contract never holds a secret; it holds a reference such as ``file:kpp-mojokerto/kswp-client``. A
resolver belongs to one agency and opens nothing outside that agency's own namespace, so that one
agency's contract cannot borrow another's password:

=============================  ====================================================================
``env:NAME``                   ``NAME`` begins with ``LINTAS_SECRET_<AGENCY>__`` (two underscores, so that
                               ``dinas`` cannot read what belongs to ``dinas-kesehatan``)
``file:PATH``                  below ``<home>/secrets/<agency>/``; mode 0600, no links out
``airflow:CONN_ID``            ``CONN_ID`` begins with ``<agency>.``; only inside Airflow's tasks
``vault:PATH#FIELD``           ``PATH`` begins with ``<agency>/`` (HashiCorp Vault, KV v2)
=============================  ====================================================================
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from foundation.errors import FixContract, FixInstallation
from foundation.files import read_private
from foundation.settings import Settings

__all__ = ["ReferenceInvalid", "SecretForeign", "SecretMissing", "SecretReference", "SecretResolver"]

Scheme = Literal["env", "file", "airflow", "vault"]
_SCHEMES = get_args(Scheme)
_AGENCY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)


class ReferenceInvalid(FixContract):
    """A reference to a secret is not written as one (or somebody wrote the secret itself)."""


class SecretForeign(FixContract):
    """A reference points outside the agency's own namespace."""


class SecretMissing(FixInstallation):
    """A reference is right, but there is nothing behind it."""


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is kept."""

    scheme: Scheme
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference.

        Raises:
            ReferenceInvalid: When the text is none (it is not repeated: it may be the secret itself).
        """
        scheme, separator, name = text.partition(":")
        if not separator or scheme not in _SCHEMES or not name or name != name.strip():
            raise ReferenceInvalid(
                "A secret is not given as a reference",
                remedy="Write env:NAME, file:PATH, airflow:CONN_ID or vault:PATH#FIELD, never the secret",
            )
        return cls(cast("Scheme", scheme), name)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.name}"


class SecretResolver:
    """Opens the secrets of one agency.

    Args:
        namespace: Id of the agency.
        settings: The installation's settings.
    """

    def __init__(self, namespace: str, settings: Settings) -> None:
        if not _AGENCY.fullmatch(namespace):
            raise ReferenceInvalid(
                "The namespace of secrets is not an agency id", remedy="Use the agency's slug"
            )
        self.namespace = namespace
        self._settings = settings

    @property
    def directory(self) -> Path:
        """Folder of the agency's ``file:`` secrets."""
        return self._settings.home / "secrets" / self.namespace

    def resolve(self, reference: SecretReference | str) -> SecretStr:
        """Return the secret behind a reference.

        Raises:
            ReferenceInvalid: When the text is no reference.
            SecretForeign: When it lies outside the agency's namespace.
            SecretMissing: When there is nothing behind it.
        """
        parsed = SecretReference.parse(reference) if isinstance(reference, str) else reference
        openers = {
            "env": self._from_environment,
            "file": self._from_file,
            "airflow": self._from_airflow,
            "vault": self._from_vault,
        }
        return SecretStr(openers[parsed.scheme](parsed))

    def _from_environment(self, reference: SecretReference) -> str:
        prefix = f"LINTAS_SECRET_{self.namespace.upper().replace('-', '_')}__"
        if not reference.name.startswith(prefix):
            raise self._foreign(reference, f"the variable must begin with {prefix}")
        value = os.environ.get(reference.name)
        if not value:
            raise _missing(reference, f"Set the environment variable {reference.name}")
        return value

    def _from_file(self, reference: SecretReference) -> str:
        home = self.directory
        segments = reference.name.removeprefix(f"{self.namespace}/").split("/")
        if not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise self._foreign(reference, f"the file must lie below secrets/{self.namespace}/")
        path = home.joinpath(*segments)
        if not path.exists():
            raise _missing(reference, f"Put the secret into {path} (mode 0600)")
        if not path.resolve().is_relative_to(home.resolve()):
            raise self._foreign(reference, "the file is a link that leads elsewhere")
        return read_private(path).decode().strip("\r\n")

    def _from_airflow(self, reference: SecretReference) -> str:
        prefix = f"{self.namespace}."
        if not reference.name.startswith(prefix):
            raise self._foreign(reference, f"the connection's id must begin with {prefix}")
        try:
            from airflow.sdk import BaseHook

            password = BaseHook.get_connection(reference.name).password
        except Exception as error:  # every Airflow version has its own exceptions for "not there"
            password, why = None, type(error).__name__
        else:
            why = "the connection has no password"
        if not password:
            raise _missing(reference, "Add the connection in Airflow; only its tasks can reach it", why)
        return str(password)

    def _from_vault(self, reference: SecretReference) -> str:
        path, _, field = reference.name.partition("#")
        segments = path.split("/")
        inside = segments[0] == self.namespace and len(segments) > 1
        if not inside or not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise self._foreign(reference, f"the path must begin with {self.namespace}/")
        return _read_vault(self._settings, reference, path, field or "value")

    def _foreign(self, reference: SecretReference, why: str) -> SecretForeign:
        return SecretForeign(
            f"The {reference.scheme}: reference lies outside the secrets of {self.namespace}",
            why=why,
            remedy="Refer to a secret of the contract's own agency",
            namespace=self.namespace,
            scheme=reference.scheme,
        )


def _read_vault(settings: Settings, reference: SecretReference, path: str, field: str) -> str:
    from foundation.http import AddressPolicy, HeaderCredentials, HttpClient, NotFoundAtSource

    if settings.vault_url is None or settings.vault_token_file is None:
        raise _missing(reference, "Set LINTAS_VAULT_URL and LINTAS_VAULT_TOKEN_FILE")
    url = urlsplit(settings.vault_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    token = SecretStr(read_private(settings.vault_token_file).decode().strip())
    client = HttpClient(
        AddressPolicy([f"{url.hostname}:{port}"]),
        system="the secrets vault",
        credentials=HeaderCredentials("X-Vault-Token", token),
    )
    with client:
        try:
            reply = client.get_json(f"{settings.vault_url.rstrip('/')}/v1/secret/data/{path}")
        except NotFoundAtSource:
            raise _missing(reference, "Write the secret into the vault (KV v2, mount `secret`)") from None
    try:
        return str(reply["data"]["data"][field])
    except (KeyError, TypeError):
        raise _missing(reference, f"The vault's entry has no field {field}") from None


def _missing(reference: SecretReference, remedy: str, why: str = "") -> SecretMissing:
    return SecretMissing(
        f"There is no secret behind {reference}", why=why, remedy=remedy, reference=str(reference)
    )
