"""A security module in software: SoftHSM 2 from the system's packages, with throw-away tokens."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

LIBRARIES = (
    "usr/lib/softhsm/libsofthsm2.so",
    "usr/lib/*/softhsm/libsofthsm2.so",
    "usr/lib64/libsofthsm2.so",
)
PIN = "24681357"


class SoftHsm:
    """The module with a folder of its own; as many tokens as tests want."""

    def __init__(self, folder):
        self.folder = folder
        found = [path for pattern in LIBRARIES for path in Path("/").glob(pattern)]
        if not found or shutil.which("softhsm2-util") is None:
            pytest.skip("SoftHSM 2 is not installed: apt-get install softhsm2")
        self.library = found[0]

    def __enter__(self):
        import pkcs11

        (self.folder / "tokens").mkdir()
        configuration = self.folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self.folder}/tokens\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        pkcs11.unload(str(self.library))  # it reads its configuration when it is loaded
        return self

    def __exit__(self, *_):
        import pkcs11

        pkcs11.unload(str(self.library))
        del os.environ["SOFTHSM2_CONF"]

    def token(self, home):
        """The settings of a new token, with its PIN in a file."""
        import pkcs11

        label = f"t-{secrets.token_hex(6)}"
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            label,
            "--so-pin",
            "11112222",
            "--pin",
            PIN,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        if str(self.library) in pkcs11._loaded:
            pkcs11.lib(str(self.library)).reinitialize()  # a module learns of new tokens when it begins
        pin = home / "module.pin"
        pin.write_text(f"{PIN}\n")
        pin.chmod(0o600)
        return {
            "key_encryption": "pkcs11",
            "pkcs11_module": self.library,
            "pkcs11_token": label,
            "pkcs11_pin_file": pin,
        }
