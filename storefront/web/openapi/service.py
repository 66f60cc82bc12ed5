"""The routes for orchestrators, Prometheus and people (web/health.py and routes.py), described."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from storefront.queries.shapes import Shape
from storefront.web.openapi.describing import Answer, Operation, Parameter


class Live(Shape, frozen=True, kw_only=True):
    """The loop answers."""

    status: Literal["live"]


class Ready(Shape, frozen=True, kw_only=True):
    """Whether this process wants traffic; with `?verbose`, a word on each of its parts."""

    status: Literal["starting", "ready", "draining"]
    parts: dict[str, str] | UnsetType = UNSET


SERVICE = (
    Operation(
        method="get",
        paths=("/health/live",),
        name="live",
        summary="Whether the loop answers",
        tag="service",
        answers=(Answer(status=200, words="It does.", shape=Live),),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/health/ready",),
        name="ready",
        summary="Whether traffic is wanted",
        tag="service",
        parameters=(
            Parameter(
                name="verbose",
                words="Whatever it says: tell of the parts as well.",
                schema={"type": "string"},
                extra={"allowEmptyValue": True},
            ),
        ),
        answers=(
            Answer(status=200, words="It is.", shape=Ready),
            Answer(status=503, words="Not yet, or not any more.", shape=Ready),
        ),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/metrics",),
        name="metrics",
        summary="What is measured and counted, in Prometheus' text format",
        tag="service",
        answers=(
            Answer(
                status=200,
                words="The metrics.",
                media="text/plain",
                schema={"type": "string"},
            ),
        ),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/openapi.json",),
        name="openapi",
        summary="This document",
        tag="service",
        answers=(Answer(status=200, words="OpenAPI 3.1.", schema={"type": "object"}),),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/docs",),
        name="docs",
        summary="This document as a page to read",
        tag="service",
        answers=(
            Answer(status=200, words="The page.", media="text/html", schema={"type": "string"}),
        ),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/docs/openapi.css",),
        name="docsStyle",
        summary="How that page looks",
        tag="service",
        answers=(Answer(status=200, words="CSS.", media="text/css", schema={"type": "string"}),),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/storefront-client.js",),
        name="browserClient",
        summary="The browser client, an ES module",
        tag="service",
        answers=(
            Answer(
                status=200,
                words="The module.",
                media="text/javascript",
                schema={"type": "string"},
                headers=("Cache-Control",),
            ),
        ),
        public=True,
    ),
    Operation(
        method="get",
        paths=("/storefront-client.d.ts",),
        name="browserClientTypes",
        summary="Its types, for TypeScript",
        tag="service",
        answers=(
            Answer(
                status=200,
                words="The declarations.",
                media="text/plain",
                schema={"type": "string"},
                headers=("Cache-Control",),
            ),
        ),
        public=True,
    ),
)
