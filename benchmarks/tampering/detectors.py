"""Those who look: what each of them has, and how each notices that something is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import audit.verifier
from audit.checking.followed import FollowedLog
from audit.checking.verification import verify_installation
from audit.checkpoints.keys import log_verifier_keys
from audit.checkpoints.policy import Policy
from audit.errors import LogForked
from audit.publishing.export import export_log
from audit.publishing.publisher import Publisher
from audit.publishing.sequencer import Sequencer
from audit.subject_view import Reader
from audit.tree.tiles import DatabaseTiles
from benchmarks.tampering.scene import Scene, as_environment
from foundation.database import Role
from foundation.errors import LintasError
from foundation.installation import Installation
from lintas.log_view import exchanges_about
from lintas.reconcile_view import Comparison, reconcile, told

_READER = Reader(actor="auditor-01", reason="tamper bench")
_CLOSE = timedelta(seconds=1)


@dataclass(frozen=True)
class Noticed:
    """What somebody noticed.

    Attributes:
        how: In their words.
        certain: Whether it proves tampering; a question only makes somebody look.
    """

    how: str
    certain: bool = True


@dataclass(frozen=True)
class Detector:
    """Somebody who looks.

    Attributes:
        name: As a column heading.
        has: What they need.
        when: How soon they look.
        look: What they do.
    """

    name: str
    has: str
    when: str
    look: Callable[[Scene], Noticed | None]


def _verify(scene: Scene) -> Noticed | None:
    report = verify_installation(scene.installation)
    return Noticed(f"{report.first}") if report.damages else None


def _sequencer(scene: Scene) -> Noticed | None:
    alone = scene.installation.settings.model_copy(update={"log_policy": None})
    return _sequences(Installation.open(alone))


def _sequences(bus: Installation) -> Noticed | None:
    try:
        with Sequencer(bus) as sequencer:
            sequencer.settle()
    except LintasError as error:
        return Noticed(f"{type(error).__name__}: {error.what}")
    return None


def _witnesses(scene: Scene) -> Noticed | None:
    """The checkpoint that the log shows now is brought to the witnesses, whatever the sequencer says."""
    publisher = Publisher(scene.installation)
    try:
        with scene.installation.database.connect(Role.SEQUENCER, autocommit=True) as connection:
            publisher.confirm(connection)
    except LogForked as error:
        return Noticed(f"{type(error).__name__}: {error.what}")
    finally:
        publisher.close()
    return None


def _kept_checkpoint(scene: Scene) -> Noticed | None:
    """They look whether what is shown goes on from what they noted down; then they verify an export."""
    noted = scene.kept.folder / "auditor.followed"
    shutil.copy(scene.kept.checkpoint, noted)
    log = FollowedLog.at(noted, log_verifier_keys(scene.installation))
    try:
        with scene.installation.database.connect(Role.AUDITOR) as connection:
            log.observe(_shown(scene), DatabaseTiles(connection))
        folder = _exported(scene)
    except LintasError as error:
        return Noticed(f"{type(error).__name__}: {error.what}")
    seen = ["--seen", str(scene.kept.checkpoint)]
    return _script("lintas_verify.py", "log", folder, "--keys", scene.kept.log_keys, *seen)


def _portal(scene: Scene) -> Noticed | None:
    return _reconciled(scene, Comparison(receipts=scene.kept.receipts, statistics=False))


def _agencies(scene: Scene) -> Noticed | None:
    compared = Comparison(access_logs=scene.kept.access_logs, statistics=False, tolerance=_CLOSE)
    return _reconciled(scene, compared)


def _statistics(scene: Scene) -> Noticed | None:
    return _reconciled(scene, Comparison(statistics=True, tolerance=_CLOSE))


def _reconciled(scene: Scene, comparison: Comparison) -> Noticed | None:
    with as_environment(scene.installation):
        found = told(reconcile(comparison))
    for name, certain in (("discrepancies", True), ("questions", False)):
        if found[name]:
            return Noticed(f"{found[name][0]['kind']}: {found[name][0]['what']}", certain)
    return None


def _person(scene: Scene) -> Noticed | None:
    """The person compares what they are shown with what their key finds in the exported log."""
    view = scene.kept.folder / "view.json"
    with as_environment(scene.installation):
        view.write_text(json.dumps(exchanges_about(scene.kept.nik_file), default=str), encoding="utf-8")
    try:
        folder = _exported(scene)
    except LintasError as error:
        return Noticed(f"{type(error).__name__}: {error.what}")
    given = ["--keys", scene.kept.log_keys, "--subject-key", scene.kept.subject_key, "--view", view]
    return _script("lintas_subject.py", folder, *given)


def _policy_holder(scene: Scene) -> Noticed | None:
    """Somebody who trusts witnesses, not the operator, looks at the checkpoint that is published now."""
    file = scene.installation.settings.log_policy
    if file is None:
        raise SystemExit("the scene has no policy")
    try:
        standing = Policy.load(file).evaluate(_shown(scene))
    except LintasError as error:
        return Noticed(error.what)
    return None if standing.quorum_met else Noticed(f"no quorum of witnesses stands behind it: {standing}")


def _shown(scene: Scene) -> str:
    """The checkpoint that the world gets to see: the newest that was cosigned, where there is one."""
    settings = scene.installation.settings
    published = settings.home / "log" / f"{settings.database_name}.checkpoint"
    files = (scene.kept.shown, published.with_suffix(".cosigned"), published)
    return next(file for file in files if file.exists()).read_text(encoding="utf-8")


def _exported(scene: Scene) -> Path:
    folder = scene.kept.folder / "export"
    with scene.installation.database.connect(Role.AUDITOR) as connection:
        export_log(connection, folder, _READER)
    return folder


def _script(name: str, *words: object) -> Noticed | None:
    """Run a stand-alone verifier as its user would."""
    script = Path(audit.verifier.__file__).with_name(name)
    done = subprocess.run(
        [sys.executable, str(script), *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode == 2:
        raise SystemExit(f"{name} could not check: {done.stdout}{done.stderr}")
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line]
    return Noticed(lines[-1]) if done.returncode else None


DETECTORS: Mapping[str, Detector] = {
    each.name: each
    for each in (
        Detector("verify", "the database and the home folder", "when `lintas audit verify` is run", _verify),
        Detector("sequencer", "the published checkpoint", "when it starts, or takes over", _sequencer),
        Detector("auditor", "a checkpoint noted down before", "when an export is verified", _kept_checkpoint),
        Detector("policy", "the names of witnesses to trust", "at the next look", _policy_holder),
        Detector("portal", "its answers, promises and receipts", "30 s after an answer", _portal),
        Detector("person", "the key to their tags", "when they look", _person),
        Detector("agencies", "their own access logs", "when logs are compared", _agencies),
        Detector("statistics", "PostgreSQL's counts", "when they are compared", _statistics),
        Detector("witness", "the last checkpoint it cosigned", "at the next checkpoint: 1 s", _witnesses),
    )
}
