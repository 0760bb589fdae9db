"""Migrations: one linear chain per database, each step beside the room that owns its tables."""

from foundation.migrations.runner import MigrationsBroken, downgrade, migrate, present_revisions

__all__ = ["MigrationsBroken", "downgrade", "migrate", "present_revisions"]
