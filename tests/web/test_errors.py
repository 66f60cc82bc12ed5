"""One tree of errors: all of ours have one root, and each that ends a request says which problem it is."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from quart_trio import QuartTrio

import storefront
from storefront import errors
from storefront.errors import StorefrontError
from storefront.web.app import _answer_errors, _ask_to_come_back
from storefront.web.problems import PREFIX, TYPES

SECRET = "what happened, in words for the log"
# One of each that may end a request, made as its room makes it.
EXAMPLES = {
    "AuthenticationError": lambda kind: kind(SECRET),
    "KeysAwayError": lambda kind: kind(),
    "ForbiddenError": lambda kind: kind(SECRET),
    "BadRequestError": lambda kind: kind(SECRET),
    "InvalidBodyError": lambda kind: kind({"sku": ["expected words"]}),
    "NoSuchThingError": lambda kind: kind(SECRET),
    "TooManyRequestsError": lambda kind: kind(7),
    "StoreUnavailableError": lambda kind: kind(SECRET),
    "DownstreamOpenError": lambda kind: kind("orders", SECRET, retry_in=3.0),
    "QueryShedError": lambda kind: kind("storefront", SECRET, retry_in=3.0),
    "DownstreamRefusedError": lambda kind: kind("orders", 409),
}
# Whose words are for the caller.
FOR_THE_CALLER = {"AuthenticationError", "ForbiddenError", "BadRequestError"}


def of_a_service(kind):
    return kind("orders", SECRET)


def all_of(root: type) -> set[type]:
    return {root} | {each for child in root.__subclasses__() for each in all_of(child)}


def every_module() -> None:
    for found in pkgutil.walk_packages(storefront.__path__, "storefront."):
        importlib.import_module(found.name)


def named_errors() -> list[type]:
    """All exceptions that are written anywhere in the package."""
    every_module()
    return sorted(
        (each for each in all_of(Exception) if each.__module__.split(".")[0] == "storefront"),
        key=lambda each: each.__qualname__,
    )


def test_every_error_of_ours_has_the_one_root():
    found = named_errors()
    assert len(found) > 25
    assert [each.__qualname__ for each in found if not issubclass(each, StorefrontError)] == []


def test_every_error_of_the_tree_is_in_the_drawing_at_its_place():
    drawn = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in "*+x" and words[1].endswith("Error"):
            depth = (len(line) - len(line.lstrip())) // 2
            path[depth:] = [words[1]]
            drawn[words[1]] = path[-2] if depth else None
    here = [each for each in named_errors() if each.__module__ == errors.__name__]
    bases = {each.__name__: each.__base__.__name__ for each in here if each is not StorefrontError}
    # One of an open breaker's kind to whoever keeps views; drawn beside it for its reason.
    bases["QueryShedError"] = "DownstreamError"
    assert drawn == {"StorefrontError": None, **bases}


def test_every_error_names_a_problem_that_is_written_down():
    for each in named_errors():
        assert each.problem in TYPES, each.__qualname__
        if each.__module__.startswith("storefront.web.") or each.problem != "failed":
            name = each.__name__
            assert name in EXAMPLES or issubclass(each, errors.DownstreamError), name


@pytest.mark.parametrize(
    "name",
    [
        *EXAMPLES,
        "DownstreamTimeoutError",
        "DownstreamNonsenseError",
        "DownstreamUnavailableError",
        "StoreCorruptError",
    ],
)
async def test_whatever_of_it_ends_a_request_is_told_as_its_problem(name):
    [kind] = [each for each in named_errors() if each.__name__ == name]
    made = EXAMPLES.get(
        name,
        of_a_service if issubclass(kind, errors.DownstreamError) else lambda kind: kind(SECRET),
    )(kind)
    app = QuartTrio("errors")
    _answer_errors(app)
    _ask_to_come_back(app)

    @app.get("/")
    async def fail():
        raise made

    answer = await app.test_client().get("/")
    told = await answer.get_json()
    status, _ = TYPES[kind.problem]
    assert (answer.status_code, told["type"]) == (status, PREFIX + kind.problem)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("Retry-After" in answer.headers) == (status in {429, 503})
    assert (SECRET in str(told)) == (name in FOR_THE_CALLER)
