"""A GUID on the command line."""

from __future__ import annotations

import click

from storefront.domain.ids import canonical


class Guid(click.ParamType[str]):
    """A dashed GUID in any case; the command gets its canonical spelling."""

    name = "guid"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return canonical(value)
        except ValueError:
            self.fail(f"{value!r} is not a GUID.", param, ctx)
