"""Who you are: what a clever attacker sends for a token, and what a careless issuer does."""

from __future__ import annotations

import hmac
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storefront.errors import AuthenticationError, BadRequestError, ForbiddenError, SettingsError
from storefront.settings import AuthSettings
from storefront.web import auth, auth_form
from storefront.web.auth import LONGEST_TOKEN, Caller, mint, whose
from tests.web.signing import (
    ALICE,
    BOB,
    CLAIMS,
    HEADER,
    NIL,
    NOW,
    SECRET,
    part,
    signed,
    token,
    tokens,
)

PLAIN = json.dumps(HEADER)


def refused(given: str, **settings: object) -> str:
    with pytest.raises(AuthenticationError) as caught:
        tokens(**settings).read(given)
    return str(caught.value)


def test_a_token_proves_whose_it_is_until_when():
    assert tokens().read(token()) == Caller(
        customer=ALICE, roles=frozenset(), expires_at=NOW + 60, subject=ALICE
    )


# The signature.


def test_a_token_of_another_secret_proves_nothing():
    assert (
        refused(token(secret="another secret of thirty-two bytes!"))
        == "the token cannot be verified"
    )


def test_a_changed_claim_proves_nothing():
    header, _, signature = token().split(".")
    refused(f"{header}.{part(json.dumps({**CLAIMS, 'sub': BOB}))}.{signature}")


@pytest.mark.parametrize(
    "alg",
    [
        "none",
        "None",
        "NONE",
        "",
        None,
        "HS384",
        "HS512",
        "RS256",
        "hs256",
        "HS256 ",
        5,
        ["HS256"],
        {},
    ],
)
def test_the_token_does_not_choose_the_algorithm(alg):
    header = json.dumps({"typ": "JWT", "alg": alg})
    refused(signed(header, json.dumps(CLAIMS)))
    refused(f"{part(header)}.{part(json.dumps(CLAIMS))}.")


def test_a_header_without_an_algorithm_proves_nothing():
    refused(signed('{"typ":"JWT"}', json.dumps(CLAIMS)))


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'key"},
        {"jku": "http://127.0.0.1:9/keys"},
        {"jwk": {"kty": "oct", "k": part("k" * 32)}},
        {"x5u": "http://127.0.0.1:9/cert", "x5c": ["AAAA"]},
    ],
    ids=lambda header: next(iter(header)),
)
def test_keys_that_a_token_brings_along_or_points_to_are_not_looked_at(header):
    assert tokens().read(token(header)).customer == ALICE
    refused(token(header, secret="k" * 32))


@pytest.mark.parametrize(
    "header",
    [
        {"crit": []},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"typ": "id_token+jwt"},
        {"typ": "logout+jwt"},
        {"typ": "secevent+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": None},
        {"typ": 5},
    ],
    ids=str,
)
def test_a_header_that_means_another_kind_of_token_is_refused(header):
    refused(token(header))


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_the_names_of_an_access_token_are_known_in_any_case(typ):
    assert tokens().read(token({"typ": typ})).customer == ALICE
    assert tokens().read(signed('{"alg":"HS256"}', json.dumps(CLAIMS))).customer == ALICE


@pytest.mark.parametrize("typ", ["ID", "Refresh", "Offline", "Logout", 5, ["Bearer"]])
def test_an_id_or_refresh_token_opens_nothing(typ):
    refused(token(typ=typ))
    assert tokens().read(token(typ="Bearer")).customer == ALICE


# The form.


@pytest.mark.parametrize(
    "claims", ["5", "null", "[]", "[1]", '[["sub","x"]]', '"ab"', "true", "", "{", "{}x", "NaN"]
)
def test_what_is_no_object_is_no_token_whether_signed_or_not(claims):
    refused(signed(PLAIN, claims))
    refused(signed(claims, json.dumps(CLAIMS)))
    refused(f"{part(claims)}.{part(claims)}.AAAA")


@pytest.mark.parametrize(
    "whole",
    [
        f'"sub":"{BOB}","exp":{NOW + 60},"sub":"{ALICE}"',
        f'"sub":"{ALICE}","exp":1,"exp":{NOW + 60}',
        f'"sub":"{ALICE}","exp":{NOW + 60},"act":{{"a":1,"a":2}}',
    ],
)
def test_a_member_named_twice_is_refused_for_readers_differ_in_which_one_counts(whole):
    refused(signed(PLAIN, f"{{{whole}}}"))


def test_an_algorithm_named_twice_is_refused():
    refused(signed('{"alg":"none","alg":"HS256"}', json.dumps(CLAIMS)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: good + ".AAAA",
        lambda good: good.replace(".", "..", 1),
        lambda good: good.rpartition(".")[0],
        lambda good: good.rpartition(".")[0] + ".",
        lambda good: "." + good,
        lambda good: good + "\n",
        lambda good: " " + good,
        lambda good: good + "\u00e9",
        lambda good: good + "\ud800",
        lambda good: good + "\0",
        lambda good: good.replace(".", "\u2024"),
        lambda good: good.replace(".", "!.", 1),
        lambda good: good[:20] + "\n" + good[20:],
        lambda good: good + "===",
        lambda _: "",
        lambda _: ".",
        lambda _: "..",
        lambda _: "null",
    ],
)
def test_a_token_in_any_other_form_is_refused(spoil):
    assert refused(spoil(token())) in {"the token cannot be read", "the token cannot be verified"}


def test_a_token_that_some_issuers_pad_is_read():
    body = ".".join(each + "=" * (-len(each) % 4) for each in token().split(".")[:2])
    signature = part(hmac.digest(SECRET.encode(), body.encode(), "sha256"))
    assert body.count("=") > 0
    assert tokens().read(f"{body}.{signature}").customer == ALICE


def test_brackets_without_end_are_refused():
    refused(signed(PLAIN, "[" * 4000))
    refused(signed('{"alg":' + "[" * 3000, "{}"))


def test_a_token_too_long_is_refused_before_anything_looks_into_it(monkeypatch):
    looked_into: list[int] = []
    reader = tokens()

    def look(text, *_args, **_options):
        looked_into.append(len(text))
        raise ValueError

    monkeypatch.setattr(auth.jwt, "decode", look)
    monkeypatch.setattr(auth_form.json, "loads", look)
    monkeypatch.setattr(auth_form, "urlsafe_b64decode", look)
    for length in (2_000_000, LONGEST_TOKEN + 1):
        with pytest.raises(AuthenticationError):
            reader.read("A" * (length - 4) + ".A.A")
        assert looked_into == []
    with pytest.raises(AuthenticationError):
        reader.read("A" * (LONGEST_TOKEN - 4) + ".A.A")
    assert looked_into == [LONGEST_TOKEN - 4]


# Time.


@pytest.mark.parametrize(
    ("now", "valid"),
    [(NOW + 59, True), (NOW + 59.999, True), (NOW + 60, False), (NOW + 60.001, False)],
)
def test_a_token_ends_exactly_at_exp(now, valid):
    if valid:
        assert tokens(now).read(token()).expires_at == NOW + 60
    else:
        assert refused(token(), now=now) == "the token has expired"


def test_leeway_puts_the_end_off_by_as_much_for_the_token_and_for_what_it_opened():
    assert tokens(NOW + 62, jwt_leeway=3.0).read(token()).expires_at == NOW + 63
    refused(token(), now=NOW + 63, jwt_leeway=3.0)


@pytest.mark.parametrize(
    ("now", "leeway", "valid"),
    [(NOW, 0.0, False), (NOW + 9.9, 0.0, False), (NOW + 10, 0.0, True), (NOW + 5, 5.0, True)],
)
def test_a_token_begins_exactly_at_nbf(now, leeway, valid):
    given = token(nbf=NOW + 10)
    if valid:
        assert tokens(now, jwt_leeway=leeway).read(given).customer == ALICE
    else:
        assert refused(given, now=now, jwt_leeway=leeway) == "the token is not valid yet"


@pytest.mark.parametrize("name", ["exp", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        f"{NOW + 60:.0f}",
        "",
        True,
        False,
        float("nan"),
        float("inf"),
        -float("inf"),
        -1,
        -0.5,
        10**12,
        10**30,
        1e300,
        [NOW + 60],
        {},
    ],
    ids=str,
)
def test_a_moment_is_a_json_number_between_1970_and_9999(name, value):
    assert refused(token(**{name: value})) == f"the token's {name} is not a moment"


@pytest.mark.parametrize("digits", ["1e400", "-1e400", "9" * 5000])
def test_a_number_beyond_all_numbers_is_no_moment(digits):
    refused(signed(PLAIN, f'{{"sub":"{ALICE}","exp":{digits}}}'))


@pytest.mark.parametrize("exp", [..., None], ids=["missing", "null"])
def test_a_token_without_an_end_is_refused(exp):
    refused(token(exp=exp))


def test_when_it_was_issued_does_not_matter():
    assert tokens().read(token(iat=NOW + 1000, nbf=None)).customer == ALICE


# Issuer and audience.


@pytest.mark.parametrize(
    "iss",
    [..., None, "", "https://evil", "https://login/", ["https://login"], {"https://login": 1}, 5],
    ids=str,
)
def test_another_issuer_is_refused(iss):
    refused(token(iss=iss), jwt_issuer="https://login")
    assert tokens(jwt_issuer="https://login").read(token(iss="https://login")).customer == ALICE


@pytest.mark.parametrize(
    "aud",
    [
        ...,
        None,
        "",
        [],
        "other",
        "shop2",
        "SHOP",
        ["other"],
        ["shop", 5],
        ["other", ["shop"]],
        {"shop": True},
        5,
        [None, "shop"],
    ],
    ids=str,
)
def test_a_token_for_somebody_else_is_refused(aud):
    refused(token(aud=aud), jwt_audience="shop")


@pytest.mark.parametrize("aud", ["shop", ["shop"], ["account", "shop"]], ids=str)
def test_a_token_for_us_among_others_is_taken(aud):
    assert tokens(jwt_audience="shop").read(token(aud=aud)).customer == ALICE


def test_without_a_configured_audience_any_is_taken():
    assert tokens().read(token(aud="anybody", iss="anybody")).customer == ALICE


# Whose.


@pytest.mark.parametrize(
    "sub",
    [
        ...,
        "",
        "alice",
        NIL,
        f"{{{ALICE}}}",
        f"urn:uuid:{ALICE}",
        ALICE.replace("-", ""),
        ALICE + " ",
        " " + ALICE,
        ALICE[:-1],
        ALICE[:-1] + "g",
        ALICE[:-1] + "\uff11",
        ALICE[:-2] + "_1",
        "\ud800",
        ALICE[:-1] + "\ud800",
    ],
    ids=ascii,
)
def test_a_subject_that_is_no_customer_is_refused(sub):
    refused(token(sub=sub))


@pytest.mark.parametrize("sub", [None, 5, True, [ALICE], {"id": ALICE}], ids=str)
def test_a_subject_that_is_no_text_is_refused(sub):
    refused(token(sub=sub))
    refused(token(sub=sub, CustomerId=ALICE))


@pytest.mark.parametrize("claim", ["CustomerId", "customer_id"])
def test_a_customer_id_stands_in_for_a_subject_and_beside_one_that_is_a_name(claim):
    assert tokens().read(token(sub=..., **{claim: BOB})).customer == BOB
    found = tokens().read(token(sub="auth0|5f7c", **{claim: BOB}))
    assert (found.customer, found.subject) == (BOB, "auth0|5f7c")
    assert tokens().read(token(**{claim: None})).customer == ALICE


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": ALICE, "CustomerId": BOB},
        {"sub": ALICE, "customer_id": BOB},
        {"sub": NIL, "CustomerId": ALICE},
        {"sub": ALICE, "CustomerId": NIL},
        {"sub": "alice", "CustomerId": ALICE, "customer_id": BOB},
    ],
    ids=str,
)
def test_two_customers_in_one_token_are_refused(claims):
    assert refused(token(**claims)) == "the token names two customers"


@pytest.mark.parametrize("value", ["", "bob", NIL, 5, True, [BOB], {"id": BOB}], ids=str)
@pytest.mark.parametrize("sub", [ALICE, "alice", ...], ids=str)
@pytest.mark.parametrize("claim", ["CustomerId", "customer_id"])
def test_a_customer_id_that_is_none_is_refused_whatever_the_subject(value, sub, claim):
    refused(token(sub=sub, **{claim: value}))
    refused(token(sub=sub, roles=["support"], **{claim: value}))


def test_one_customer_has_one_spelling():
    shouted = "ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB"
    assert tokens().read(token(sub=shouted)).customer == shouted.lower()
    assert tokens().read(token(sub=shouted, CustomerId=shouted.lower())).customer == shouted.lower()


# Roles.


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        ({}, set()),
        ({"role": "support"}, {"support"}),
        ({"roles": "support"}, {"support"}),
        ({"roles": ["support", "admin"]}, {"support", "admin"}),
        ({"role": ["support"]}, {"support"}),
        ({"roles": []}, set()),
        ({"roles": None, "role": "admin"}, {"admin"}),
        ({"role": "support admin"}, {"support admin"}),
        ({"role": "Support"}, {"Support"}),
    ],
    # In one order: a set has its own in every process, and two test workers would disagree.
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_roles_are_one_or_many(claims, roles):
    assert tokens().read(token(**claims)).roles == roles


@pytest.mark.parametrize(
    "value", [5, True, {"support": True}, [5], ["support", None], [["support"]]], ids=str
)
@pytest.mark.parametrize("claim", ["role", "roles"])
def test_roles_that_cannot_be_read_are_refused_and_not_passed_over(claim, value):
    refused(token(**{claim: value}))


@pytest.mark.parametrize("role", ["support", "admin"])
@pytest.mark.parametrize("sub", [..., "", "carol@example.org"], ids=str)
def test_staff_need_no_customer_of_their_own(role, sub):
    found = tokens().read(token(sub=sub, roles=[role]))
    assert found.customer is None
    assert found.subject == ("" if sub is ... else sub)


@pytest.mark.parametrize("role", ["Support", "support admin", "customer", "supportive", "root"])
def test_any_other_role_does(role):
    refused(token(sub="carol@example.org", roles=[role]))


# Whose data.


def caller(customer: str | None = ALICE, *roles: str) -> Caller:
    return Caller(customer=customer, roles=frozenset(roles), expires_at=NOW)


def test_a_customer_gets_their_own_whether_they_name_it_or_not():
    assert whose(caller(), None) == ALICE
    shouted = "ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB"
    assert whose(caller(shouted.lower()), shouted) == shouted.lower()


@pytest.mark.parametrize("roles", [(), ("admin",), ("Support",), ("customer",)], ids=str)
def test_nobody_but_support_gets_anothers(roles):
    with pytest.raises(ForbiddenError):
        whose(caller(ALICE, *roles), BOB)
    with pytest.raises(ForbiddenError):
        whose(caller(None, *roles), BOB)
    assert whose(caller(ALICE, *roles, "support"), BOB) == BOB


def test_staff_without_a_customer_must_say_whose():
    with pytest.raises(ForbiddenError):
        whose(caller(None, "support"), None)


@pytest.mark.parametrize(
    "named", ["", "bob", f"{{{ALICE}}}", ALICE + "\n", "\ud800", "null", "*"], ids=ascii
)
def test_a_name_that_is_no_guid_is_a_bad_request_for_everyone(named):
    for asking in (caller(), caller(None, "support")):
        with pytest.raises(BadRequestError):
            whose(asking, named)


# Any bytes at all.


@given(
    st.text()
    | st.binary().map(lambda raw: raw.decode("latin-1"))
    | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
)
def test_no_text_at_all_raises_anything_else(text):
    with pytest.raises(AuthenticationError):
        tokens().read(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([ALICE, BOB, NIL, "HS256", "Bearer", NOW + 60]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
CLAIM = st.sampled_from(
    [
        "sub",
        "exp",
        "nbf",
        "iat",
        "jti",
        "iss",
        "aud",
        "role",
        "roles",
        "CustomerId",
        "customer_id",
        "typ",
    ]
)
FIELD = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "cty", "zip"])


@given(
    st.dictionaries(FIELD, JSON),
    st.dictionaries(CLAIM, JSON),
    st.sets(st.sampled_from(["header", "claims"])),
)
def test_no_json_at_all_well_signed_or_not_raises_anything_else(header, claims, usable):
    header = {**header, **HEADER} if "header" in usable else header
    claims = {**claims, **CLAIMS} if "claims" in usable else claims
    given_token = signed(json.dumps(header), json.dumps(claims))
    try:
        found = tokens().read(given_token)
    except AuthenticationError:
        return
    assert found.customer or found.roles & {"support", "admin"}
    assert found.expires_at > NOW


@given(JSON, JSON)
def test_no_json_of_any_shape_raises_anything_else(header, claims):
    with pytest.raises(AuthenticationError):
        tokens().read(signed(json.dumps(header), json.dumps(claims)))


def test_what_is_said_holds_nothing_of_the_token():
    for given_token in (
        "SECRETTOKEN",
        token(sub="SECRETNAME"),
        token(typ="SECRETKIND"),
        token(roles=["SECRETROLE", 5]),
    ):
        assert "SECRET" not in refused(given_token)


# Development tokens.


@pytest.mark.parametrize("algorithm", [(), ("HS256",), ("HS384",), ("HS512", "HS256")], ids=str)
def test_a_development_token_is_believed_by_the_service_it_was_made_for(algorithm):
    settings = AuthSettings(
        jwt_secret="s" * 64, jwt_algorithms=algorithm, jwt_issuer="me", jwt_audience="shop"
    )
    made = mint(settings, customer=ALICE.upper(), now=NOW, lifetime=60, roles=("support",))
    found = auth.Tokens(settings, clock=lambda: NOW).read(made)
    assert found == Caller(
        customer=ALICE, roles=frozenset({"support"}), expires_at=NOW + 60, subject=ALICE
    )


@pytest.mark.parametrize("lifetime", [float("nan"), float("inf"), -float("inf"), 1e300, -NOW - 1])
def test_a_development_token_has_a_lifetime(lifetime):
    with pytest.raises(ValueError, match="lifetime"):
        mint(AuthSettings(jwt_secret=SECRET), customer=ALICE, now=NOW, lifetime=lifetime)


@pytest.mark.parametrize("customer", ["alice", "", NIL])
def test_a_development_token_is_somebodys(customer):
    with pytest.raises(ValueError):
        mint(AuthSettings(jwt_secret=SECRET), customer=customer, now=NOW, lifetime=60)


def test_only_a_secret_signs_development_tokens():
    with pytest.raises(SettingsError, match="STOREFRONT_JWT_SECRET"):
        mint(AuthSettings(), customer=ALICE, now=NOW, lifetime=60)


def test_the_library_alone_would_believe_what_is_refused_here():
    """Should PyJWT take these checks over one day, this test says so."""
    for given_token in (
        token(exp=f"{NOW * 2:.0f}"),
        token(sub="", exp=NOW * 2),
        token({"typ": "id_token+jwt"}, exp=NOW * 2),
        signed(PLAIN, f'{{"exp":1,"exp":{NOW * 2}}}'),
    ):
        assert jwt.decode(given_token, SECRET, algorithms=["HS256"], options={"require": ["exp"]})
        refused(given_token)
