"""The settings of this process, and what follows from them for every command."""

from __future__ import annotations

import os

from storefront.settings import PREFIX, Settings, from_environment
from storefront.telemetry.logs import configure_logs


def read_settings(**instead: object) -> Settings:
    """The settings in force, and logs as they have it.

    Args:
        instead: settings an option names, by the names of their fields; None where it was not
            given. They are checked together with the others.

    Raises:
        SettingsError: one line naming the variable that cannot be used.
    """
    settings = from_environment(variables(**instead))
    configure(settings)
    return settings


def variables(**instead: object) -> dict[str, str]:
    """The environment with these settings in place of its own."""
    given = {
        PREFIX + name.upper(): str(value) for name, value in instead.items() if value is not None
    }
    return {**os.environ, **given}


def configure(settings: Settings) -> None:
    """Set up logging for this process."""
    configure_logs(level=settings.logs.log_level, style=settings.logs.log_format)
