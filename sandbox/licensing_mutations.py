"""What happens at the licensing office: an export that stays away."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sandbox.datasets import LICENSING_OFFICE
from sandbox.drops import manifest, put


class LicensingMutations:
    """What clerks and broken exports do to the drop folder, also of an office that another process serves."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def at(cls, directory: Path) -> LicensingMutations:
        """Those of the office of the practice agencies that keep their things here."""
        return cls(directory / LICENSING_OFFICE / "sftp" / "drop")

    def licenses_stay_away(self, days: float = 4) -> None:
        """Let the newest list of licences be days old, while the businesses came as ever.

        The export of licences fails since: its last file and the list that names it keep their old dates, and
        the list of today names the businesses only.
        """
        licenses = self._newest("izin_*.xlsx")
        businesses = self._newest("nib_*.csv")
        lists = sorted(self._folder.glob("*.sha256"))
        then = time.time() - days * 86_400
        former = f"izin_{time.strftime('%Y%m%d', time.gmtime(then))}.xlsx"
        content = licenses.read_bytes()
        for stale in (*self._folder.glob("izin_*.xlsx"), *lists):
            stale.unlink()
        old_list = f"drop_{time.strftime('%Y%m%d', time.gmtime(then))}.sha256"
        put(self._folder, former, content)
        put(self._folder, old_list, manifest([(former, content)]))
        for name in (former, old_list):
            os.utime(self._folder / name, (then, then))
        put(self._folder, lists[-1].name, manifest([(businesses.name, businesses.read_bytes())]))

    def _newest(self, pattern: str) -> Path:
        return max(self._folder.glob(pattern), key=lambda path: path.stat().st_mtime)
