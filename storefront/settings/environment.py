"""Settings out of environment variables, and back for whoever asks what is in force."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_origin

import msgspec

from storefront.errors import SettingsError
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
from storefront.settings.together import check_together
from storefront.settings.urls import SCHEMES, check_url, masked_url

PREFIX = "STOREFRONT_"
_SECTIONS: dict[str, type[Section]] = {
    "serving": ServingSettings,
    "streams": StreamSettings,
    "store": StoreSettings,
    "messaging": MessagingSettings,
    "services": ServicesSettings,
    "views": ViewSettings,
    "auth": AuthSettings,
    "logs": LogSettings,
}
_PEM = "-----BEGIN"
# What Kubernetes tells a pod about a Service that happens to be named `storefront`.
_SERVICE_LINK = re.compile(r"SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://.*")


def from_environment(environ: Mapping[str, str]) -> Settings:
    """Read all settings.

    Raises:
        SettingsError: one line naming the variable that cannot be used, or is not known.
    """
    given = {key[len(PREFIX) :]: value for key, value in environ.items() if _ours(key, value)}
    sections = {name: _section(kind, given) for name, kind in _SECTIONS.items()}
    if given:
        # A misspelt setting would otherwise be the default, silently.
        raise SettingsError(f"{PREFIX}{min(given)}: there is no such setting")
    settings = Settings(**sections)  # type: ignore[arg-type] # the table says which is which
    check_together(settings)
    return settings


def describe(settings: Settings) -> dict[str, str]:
    """Every variable and what is in force, secrets masked."""
    told: dict[str, str] = {}
    for name in _SECTIONS:
        section = getattr(settings, name)
        for field in section.__struct_fields__:
            told[_variable(field)] = _masked(field, getattr(section, field))
    return told


def _ours(key: str, value: str) -> bool:
    if not key.startswith(PREFIX):
        return False
    name = key[len(PREFIX) :]
    linked = _SERVICE_LINK.fullmatch(name) or (name == "PORT" and _SERVICE_URL.match(value))
    return not linked


def _section(kind: type[Section], given: dict[str, str]) -> Section:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        raw = given.pop(field.name.upper(), None)
        if raw is None:
            continue
        try:
            values[field.name] = _value(field, raw)
        except (ValueError, RecursionError) as exc:  # msgspec's own errors are ValueErrors
            raise SettingsError(f"{_variable(field.name)}: {exc}") from exc
    return kind(**values)


def _value(field: msgspec.structs.FieldInfo, raw: str) -> object:
    if get_origin(field.type) is Mapping:
        return msgspec.json.decode(raw, type=field.type)
    if str(field.type).startswith("tuple"):
        items = [_clean(part.strip()) for part in raw.split(",") if part.strip()]
        return msgspec.convert(items, field.type, strict=False)
    if field.name in SCHEMES:
        check_url(raw, SCHEMES[field.name])
    return msgspec.convert(_clean(raw), field.type, strict=False)


def _clean(raw: str) -> str:
    # A file read into a variable brings its line end along, and a secret with a line end is another
    # secret.
    pem = _PEM in raw and raw.isascii()
    if not pem and (raw != raw.strip() or not raw.isprintable()):
        raise ValueError("it has white space at an end, or a character that cannot be printed")
    return raw


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _masked(field: str, value: object) -> str:
    if value is None:
        return ""
    if field == "jwt_secret":
        return "***"
    if field in SCHEMES:
        return masked_url(str(value), SCHEMES[field])
    shown = _shown(value)
    # Many lines, and perhaps those of the wrong key, the private one.
    return "(PEM text)" if _PEM in shown else shown


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return str(value)
