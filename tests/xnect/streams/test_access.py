"""Addresses as users write them, and the rules of the door."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xnect.addresses import Address, is_loopback, parse_address
from xnect.config import StreamConfig
from xnect.errors import ConfigError
from xnect.streams.access import Access


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "127.0.0.1:8765"),
        ("80", "127.0.0.1:80"),
        ("0", "127.0.0.1:0"),
        ("10.0.0.7", "10.0.0.7:8765"),
        ("studio.local:9", "studio.local:9"),
        (":9", "127.0.0.1:9"),
        ("::1", "[::1]:8765"),
        ("[::1]:9", "[::1]:9"),
        ("[fe80::1]", "[fe80::1]:8765"),
    ],
)
def test_addresses(text, expected):
    assert str(parse_address(text, 8765)) == expected


@pytest.mark.parametrize(
    "text",
    ["70000", "host:", "host:x", "a b", "256.1.1.1", "1.2.3", "[::1", "[::1]x", "-1", "http://x", "x" * 300, "²"],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|a port is"):
        parse_address(text, 1)


@given(st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_text_is_an_address_or_a_clear_error(text):
    try:
        found = parse_address(text, 1)
    except ValueError:
        return
    assert 0 <= found.port <= 65535
    assert parse_address(str(found), 2) == found


def test_loopback_is_judged_as_an_address():
    assert all(map(is_loopback, ("localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("127.evil.example", "localhost.evil.example", "0.0.0.0", "10.0.0.1", "", "127.1")))
    assert Address("127.0.0.1", 1).loopback


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vmc": ("127.0.0.1:0",)}, "port is above 0"),
        ({"udp": ("a b",)}, "HOST:PORT expected"),
        ({"token": "short"}, "8 to 128"),
        ({"token": "with space 123"}, "8 to 128"),
        ({"pace": "slow"}, "source or fast"),
    ],
)
def test_bad_settings_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        StreamConfig(**fields)


@given(
    target=st.text(max_size=30).map(lambda text: "/" + text),
    host=st.text(max_size=30),
    origin=st.none() | st.text(max_size=30),
    bearer=st.none() | st.text(max_size=30),
)
@example(target="/?token=", host="127.0.0.1", origin=None, bearer=None)
@example(target="/?token=%ff", host="127.0.0.1", origin=None, bearer="Bearer ")
@example(target="/", host="[", origin="http://[", bearer=None)
@settings(max_examples=100, deadline=None)
def test_without_the_token_nobody_gets_in(target, host, origin, bearer):
    headers = {"Host": host}
    headers |= {} if origin is None else {"Origin": origin}
    headers |= {} if bearer is None else {"Authorization": bearer}
    assert Access(False, "a-long-secret").refusal(target, headers)
    reason = Access(True).refusal(target, headers)
    assert reason or is_loopback(host.rpartition(":")[0].strip("[]") or host) or is_loopback(host.strip("[]"))


def test_with_the_token_the_right_ones_get_in():
    access = Access(False, "a-long-secret")
    assert not access.refusal("/stream?x=1&token=a-long-secret", {"Host": "studio:8765"})
    assert not access.refusal("/stream", {"Host": "studio", "Authorization": "Bearer a-long-secret"})
    assert access.refusal("/stream?token=a-long-secret", {"Host": "studio", "Origin": "http://other"})
    assert not access.refusal("/?token=a-long-secret", {"Host": "studio", "Origin": "http://studio"})
