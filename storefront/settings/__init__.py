"""What can be set, and what it is when it is not.

One frozen section per room; every setting is an environment variable `STOREFRONT_<NAME>` with the
name of its field. All are checked before anything starts: a wrong one stops the process with one
line that names it. Nothing else reads the environment.

    sections     the settings, their kinds and defaults
    environment  out of variables, and back
    urls         what is refused in one, and what is shown of it
    together     what must agree
"""

from storefront.settings.environment import PREFIX, describe, from_environment
from storefront.settings.sections import (
    AuthSettings,
    LogSettings,
    MessagingSettings,
    Section,
    ServicesSettings,
    ServingSettings,
    Settings,
    StoreSettings,
    StreamSettings,
    ViewSettings,
)
from storefront.settings.together import metrics_address

__all__ = [
    "PREFIX",
    "AuthSettings",
    "LogSettings",
    "MessagingSettings",
    "Section",
    "ServicesSettings",
    "ServingSettings",
    "Settings",
    "StoreSettings",
    "StreamSettings",
    "ViewSettings",
    "describe",
    "from_environment",
    "metrics_address",
]
