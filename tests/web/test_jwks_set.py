"""A published set of keys: which of them are taken, what for, and what is no set at all."""

from __future__ import annotations

import json
from contextlib import suppress

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from storefront.web.keys_set import MOST_KEYS, KeySet, read_key_set
from tests.web.issuing import ED25519, OTHER_RSA, P256, RSA, jwk, jwks
from tests.web.signing import part

ALL = ("RS256", "RS384", "RS512", "PS256", "ES256", "EdDSA")


def reading(*members: object, algorithms: tuple[str, ...] = ALL) -> KeySet:
    return read_key_set(jwks(*members), algorithms)


def taken(*members: object, algorithms: tuple[str, ...] = ALL) -> set[str | None]:
    """The names of the keys that are taken, besides one that is always good."""
    found = reading(jwk(ED25519, "good"), *members, algorithms=(*algorithms, "EdDSA"))
    return {each.kid for each in found.keys} - {"good"}


@pytest.mark.parametrize(
    ("key", "serves"),
    [(RSA, {"RS256", "RS384", "RS512", "PS256"}), (P256, {"ES256"}), (ED25519, {"EdDSA"})],
    ids=["RSA", "P-256", "Ed25519"],
)
@pytest.mark.parametrize("algorithm", ALL)
def test_a_key_verifies_what_its_type_allows_and_nothing_else(key, serves, algorithm):
    found = reading(jwk(key, "k")).find("k", algorithm)
    assert (found is not None) is (algorithm in serves)
    if found is not None:
        token = jwt.encode({"a": 1}, key, algorithm=algorithm)
        assert jwt.decode(token, found, algorithms=[algorithm]) == {"a": 1}


def test_only_the_configured_algorithms_are_served():
    found = reading(jwk(RSA, "k"), algorithms=("RS256",))
    assert found.find("k", "RS256") is not None
    assert found.find("k", "PS256") is None
    with pytest.raises(ValueError, match="no usable key"):
        reading(jwk(RSA, "k"), algorithms=("ES256",))


def test_a_key_that_names_its_algorithm_serves_for_that_one_only():
    found = reading(jwk(RSA, "k", alg="RS256"))
    assert found.find("k", "RS256") is not None
    assert found.find("k", "RS512") is None
    assert found.find("k", "PS256") is None


@pytest.mark.parametrize(
    "members",
    [
        {"use": "enc"},
        {"use": "SIG"},
        {"use": ["sig"]},
        {"key_ops": ["encrypt"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"alg": "RSA-OAEP"},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": 5},
        {"alg": ["RS256"]},
        {"kty": "oct", "k": "a" * 43},
        {"kty": "EC"},
        {"kty": "rsa"},
        {"kty": ...},
        {"kty": 5},
        {"kty": ["RSA"]},
        {"crv": "P-256"},
        {"crv": ["P-256"]},
        {"kid": 5},
        {"kid": "k" * 257},
        {"d": "AQAB"},
        {"n": ...},
        {"n": ""},
        {"n": "!"},
        {"n": 5},
        {"n": "\u00fc" * 342},
        {"n": "A" * 2000},
        {"e": ...},
        {"e": "AA"},
        {"e": "AQ"},
        {"e": "Ag"},
    ],
    ids=str,
)
def test_a_key_that_is_not_for_signatures_or_cannot_be_read_is_left_out_and_spoils_no_other(
    members,
):
    assert taken(jwk(RSA, "k")) == {"k"}
    assert taken(jwk(RSA, **{"kid": "k", **members})) == set()


@pytest.mark.parametrize(
    "members",
    [
        {"use": "sig"},
        {"use": None},
        {"use": ...},
        {"key_ops": ["verify"]},
        {"x5c": ["AA"]},
        {"x5t": 5},
        {"alg": None},
    ],
    ids=str,
)
def test_a_key_for_signatures_is_taken(members):
    assert taken(jwk(RSA, "k", **members)) == {"k"}


@pytest.mark.parametrize("bits", [1024, 2047])
def test_an_rsa_key_that_is_too_short_is_left_out(bits):
    assert taken(jwk(rsa.generate_private_key(public_exponent=65537, key_size=bits), "k")) == set()


def test_an_rsa_key_that_costs_too_much_to_verify_with_is_left_out():
    whole = {"n": part(b"\xff" * 1024)}
    assert taken({**jwk(RSA, "k"), **whole}) == {"k"}
    assert taken({**jwk(RSA, "k"), "n": part(b"\xff" * 1025)}) == set()


def test_what_is_far_too_long_is_not_even_parsed(monkeypatch):
    parsed: list[str] = []

    def parse(name: str):
        parsed.append(name)
        raise ValueError

    monkeypatch.setattr(jwt, "get_algorithm_by_name", parse)
    with pytest.raises(ValueError, match="no usable key"):
        reading({**jwk(RSA, "k"), "n": "_" * 1501})
    assert parsed == []


@pytest.mark.parametrize("key", [RSA, P256, ED25519], ids=["RSA", "P-256", "Ed25519"])
def test_a_private_key_that_was_published_is_nobodys_any_more(key):
    kinds = {RSA: "RSAAlgorithm", P256: "ECAlgorithm", ED25519: "OKPAlgorithm"}
    private = getattr(jwt.algorithms, kinds[key]).to_jwk(key, as_dict=True)
    assert "d" in private
    assert taken({**private, "kid": "k", "key_ops": ["verify"]}) == set()


@pytest.mark.parametrize("curve", [ec.SECP384R1, ec.SECP521R1, ec.SECP256K1])
def test_a_key_on_a_curve_that_none_of_the_algorithms_has_is_left_out(curve):
    assert taken(jwk(ec.generate_private_key(curve()), "k")) == set()


def test_a_point_that_is_not_on_its_curve_is_no_key():
    assert taken(jwk(P256, "k", x=jwk(P256)["y"])) == set()


def test_a_token_that_names_no_key_is_verified_with_the_only_one_there_is():
    for name in (..., None, "k"):
        found = reading(jwk(RSA, name), {"kty": "oct", "k": "aaaa"}, jwk(P256, "e", use="enc"))
        assert found.find(None, "RS256") is not None
        assert found.find(None, "ES256") is None
    several = reading(jwk(RSA, "a"), jwk(OTHER_RSA, "b"))
    assert several.find(None, "RS256") is None
    # Nor by its type: which of the keys there are is meant is for the token to say.
    assert reading(jwk(RSA, "a"), jwk(P256, "b")).find(None, "RS256") is None


def test_a_token_that_names_a_key_is_verified_with_no_other():
    found = reading(jwk(RSA, "a"), jwk(OTHER_RSA))
    assert found.find("b", "RS256") is None
    assert found.find("", "RS256") is None
    assert found.find("A", "RS256") is None
    assert found.knows("a")
    assert not found.knows("b")


def test_two_keys_of_one_name_and_two_types_are_two():
    found = reading(jwk(RSA, "k"), jwk(P256, "k"))
    assert isinstance(found.find("k", "RS256"), rsa.RSAPublicKey)
    assert isinstance(found.find("k", "ES256"), ec.EllipticCurvePublicKey)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[null]}',
        b'{"keys":["k"]}',
        b'{"keys":[{}]}',
        b"<html>we are down</html>",
        b"\x00\xff" * 100,
        b"[" * 100_000,
        b'{"keys":' + b"[" * 100_000,
        b"\xef\xbb\xbf" + jwks(jwk(RSA)),
        jwks(jwk(RSA))[:-1],
    ],
    ids=lambda body: ascii(body[:24]),
)
def test_what_holds_no_usable_key_is_no_set(body):
    with pytest.raises(ValueError) as caught:
        read_key_set(body, ALL)
    assert str(caught.value) in {"not a set of keys", "no usable key"}


def test_a_set_of_very_many_keys_is_none():
    assert len(reading(*[jwk(ED25519, str(n)) for n in range(MOST_KEYS)]).keys) == MOST_KEYS
    with pytest.raises(ValueError, match="more than 64 keys"):
        reading(*[jwk(ED25519, str(n)) for n in range(MOST_KEYS + 1)])


MEMBER = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.sampled_from(["RS256", "sig", "verify"]), max_size=2)
    | st.just({})
)


@given(
    st.sampled_from([RSA, P256, ED25519]),
    st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "x", "y", "use", "alg", "kid", "key_ops"]),
        MEMBER,
        max_size=3,
    ),
)
def test_no_key_at_all_raises_anything_else(key, members):
    body = json.dumps({"keys": [{**jwk(key, "k"), **members}]}).encode()
    with suppress(ValueError):
        assert read_key_set(body, ALL).keys
