"""Reference pages that the code itself makes; a test holds the committed pages to them."""

from __future__ import annotations

from foundation.settings import Settings, describe

__all__ = ["settings_markdown"]

_HEAD = """# Settings

Every setting is an environment variable. `lintas settings` shows the values in use; a variable that begins
with `LINTAS_` and is not listed here is an error, so that a typing mistake does not pass in silence.
The only exception are secrets of agencies, `LINTAS_SECRET_<AGENCY>_…`, which contracts refer to as `env:…`.

This page is made from `foundation/settings.py`.
"""


def settings_markdown() -> str:
    """Return the reference page of all settings."""
    parts = [_HEAD]
    for setting in describe(Settings(home=Settings.model_fields["home"].get_default())):
        default = f"Default: `{setting.default}`." if setting.default else ""
        secret = "Its value is a secret and is never shown." if setting.secret else ""
        text = " ".join(filter(None, [setting.description, default, secret]))
        parts.append(f"## {setting.variable}\n\n{text}\n")
    return "\n".join(parts)
