"""Keys: the right one in any of its forms, and every wrong one stops the start with one line."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from storefront.errors import AuthenticationError, SettingsError
from storefront.settings import AuthSettings
from storefront.web.auth import Tokens
from tests.web.signing import ALICE, CLAIMS, HEADER, NOW, part

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS = {
    "RS256": RSA,
    "RS384": RSA,
    "RS512": RSA,
    "PS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
KINDS = {
    "RSA": RSA,
    "P-256": KEYS["ES256"],
    "Ed25519": KEYS["EdDSA"],
    "P-384": ec.generate_private_key(ec.SECP384R1()),
}
TAKEN = {
    "RS256": {"RSA"},
    "RS384": {"RSA"},
    "RS512": {"RSA"},
    "PS256": {"RSA"},
    "ES256": {"P-256"},
    "EdDSA": {"Ed25519"},
}


def public_pem(key) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def private_pem(key, password: bytes | None = None) -> str:
    locked = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked
    ).decode()


def reading(key: str, *algorithms: str) -> Tokens:
    settings = AuthSettings(jwt_public_key=key, jwt_algorithms=algorithms)
    return Tokens(settings, clock=lambda: NOW)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_token_is_read_by_the_public_key_as_text_and_as_a_file(algorithm, tmp_path):
    key = KEYS[algorithm]
    path = tmp_path / "key.pem"
    path.write_text(public_pem(key))
    given = jwt.encode(CLAIMS, private_pem(key), algorithm=algorithm)
    for form in (public_pem(key), "\n" + public_pem(key), str(path)):
        assert reading(form, algorithm).read(given).customer == ALICE


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_token_of_another_key_of_the_same_kind_proves_nothing(algorithm):
    others = {
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }
    other = others.get(
        algorithm, lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )()
    with pytest.raises(AuthenticationError):
        reading(public_pem(KEYS[algorithm]), algorithm).read(
            jwt.encode(CLAIMS, private_pem(other), algorithm=algorithm)
        )


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("ending", ["", "\n"], ids=["stripped", "as it is"])
def test_the_public_key_is_no_secret(algorithm, hash_name, ending):
    """The classic forgery: everybody has the public key, and an HMAC over it is quickly made."""
    pem = public_pem(KEYS[algorithm])
    header = {**HEADER, "alg": f"HS{hash_name[3:]}"}
    body = f"{part(json.dumps(header))}.{part(json.dumps(CLAIMS))}"
    secret = (pem.strip() + ending).encode()
    forged = f"{body}.{part(hmac.digest(secret, body.encode(), getattr(hashlib, hash_name)))}"
    with pytest.raises(AuthenticationError):
        reading(pem, algorithm).read(forged)


def test_only_the_configured_algorithm_of_a_key_is_taken():
    given = jwt.encode(CLAIMS, private_pem(RSA), algorithm="PS256")
    with pytest.raises(AuthenticationError):
        reading(public_pem(RSA), "RS256").read(given)
    assert reading(public_pem(RSA), "RS256", "PS256").read(given).customer == ALICE


def refused(key: str, *algorithms: str, secret: str | None = None) -> str:
    settings = AuthSettings(
        jwt_public_key=key or None, jwt_secret=secret, jwt_algorithms=algorithms
    )
    with pytest.raises(SettingsError) as caught:
        Tokens(settings, clock=lambda: NOW)
    said = str(caught.value)
    assert said.startswith("STOREFRONT_JWT_")
    return said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", TAKEN)
def test_a_key_of_the_wrong_kind_stops_the_start(algorithm, kind):
    pem = public_pem(KINDS[kind])
    if kind in TAKEN[algorithm]:
        assert reading(pem, algorithm) is not None
    else:
        assert f"no key for {algorithm}" in refused(pem, algorithm)


def test_algorithms_that_need_two_keys_stop_the_start():
    assert "no key for ES256" in refused(public_pem(RSA), "RS256", "ES256")


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_private_key_given_by_mistake_stops_the_start_and_is_not_shown(algorithm, tmp_path):
    pem = private_pem(KEYS[algorithm])
    path = tmp_path / "key.pem"
    path.write_text(pem)
    for form in (pem, str(path)):
        said = refused(form, algorithm)
        assert "this is a private key" in said
        assert pem.splitlines()[1] not in said


@pytest.mark.parametrize(
    "key",
    [
        private_pem(RSA, b"password"),
        "-----BEGIN PUBLIC KEY-----",
        public_pem(RSA).replace("\n", "\\n"),
        public_pem(RSA)[:200],
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        "-----BEGIN PUBLIC KEY-----\n" + "\u00e9" * 64 + "\n-----END PUBLIC KEY-----\n",
    ],
    ids=[
        "locked",
        "only a first line",
        "line ends spelled out",
        "half",
        "a certificate that is none",
        "no ASCII",
    ],
)
def test_a_key_that_cannot_be_read_stops_the_start(key):
    assert "STOREFRONT_JWT_PUBLIC_KEY: no key for RS256" in refused(key, "RS256")


def test_a_key_file_that_cannot_be_read_stops_the_start_without_showing_what_was_given(tmp_path):
    assert "No such file" in refused(str(tmp_path / "none.pem"), "RS256")
    assert "Is a directory" in refused(str(tmp_path), "RS256")
    binary = tmp_path / "key.der"
    binary.write_bytes(b"\x30\x82\xff\xfe")
    assert "no PEM text" in refused(str(binary), "RS256")
    headless = "".join(private_pem(RSA).splitlines()[1:-1])
    assert headless[:40] not in refused(headless, "RS256")
    assert "no PEM text" in refused("a\0b", "RS256")


def test_a_key_that_is_too_short_stops_the_start():
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    assert "too short for RS256" in refused(public_pem(short), "RS256")


@pytest.mark.parametrize(
    ("algorithm", "bytes_needed"), [("HS256", 32), ("HS384", 48), ("HS512", 64)]
)
def test_a_secret_is_as_long_as_its_hash(algorithm, bytes_needed):
    settings = AuthSettings(jwt_secret="s" * bytes_needed, jwt_algorithms=(algorithm,))
    assert Tokens(settings, clock=lambda: NOW) is not None
    assert f"STOREFRONT_JWT_SECRET: too short for {algorithm}" in refused(
        "", algorithm, secret="s" * (bytes_needed - 1)
    )


def test_a_public_key_given_as_the_secret_stops_the_start():
    assert "STOREFRONT_JWT_SECRET: no key for HS256" in refused("", secret=public_pem(RSA))


def test_without_a_key_nothing_starts():
    assert refused("") == (
        "STOREFRONT_JWT_SECRET: set it, or STOREFRONT_JWT_PUBLIC_KEY, or STOREFRONT_JWT_JWKS_URL"
    )
    assert "STOREFRONT_JWT_ALGORITHMS" in refused(public_pem(RSA))


def test_a_key_is_parsed_once_and_not_with_every_token(monkeypatch):
    reader = reading(public_pem(RSA), "RS256")
    given = jwt.encode(CLAIMS, private_pem(RSA), algorithm="RS256")

    def parse(*_args, **_options):
        raise AssertionError("parsed again")

    monkeypatch.setattr(jwt.algorithms, "load_pem_public_key", parse)
    monkeypatch.setattr(Path, "read_text", parse)
    assert reader.read(given).customer == ALICE
