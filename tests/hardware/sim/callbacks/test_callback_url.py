"""Callback URLs: the possible ones, the host that is called, loopback, and overrides in the fragment."""

from __future__ import annotations

import pytest

from hardware.sim.service.callback_url import ConnectionOverrides, parse_callback_url


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "nowhere",
            "/path",
            "ftp://127.0.0.1/x",
            "http://",
            "http:///x",
            "http:127.0.0.1",
            "//127.0.0.1/",
        ),
        *("http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://127.0.0.1:port/", "http://127.0.0.1:-1/"),
        *("http://[::1/x", "http://::1/x", "http://[::1%25lo]/", "http://[127.0.0.1]/", "http://[x]/"),
        *(
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://127.0.0.01/",
            "http://256.1.1.1/",
        ),
        *("http://a b/", "http://127.0.0.1/a b", " http://127.0.0.1/", "http://127.0.0.1/\n", "http://a\tb/"),
        *(
            "http://127.0.0.1\\@example.com/",
            "http://127.0.0.1/%",
            "http://127.0.0.1/%zz",
            "http://127.0.0.1/{x}",
        ),
        *(
            "http://a..b/",
            "http://.a/",
            f"http://{'a' * 64}/",
            "http://müller.example/",
            "http://a,b/",
            "http://-a/",
        ),
        *(
            "javascript:alert(1)",
            "file:///etc/passwd",
            f"http://127.0.0.1/{'x' * 5000}",
            "http://@/",
            "http://:80/",
        ),
    ],
)
def test_impossible_url(text):
    """Each is refused with a reason."""
    with pytest.raises(ValueError, match=r"^it"):
        parse_callback_url(text)


@pytest.mark.parametrize(
    ("text", "host", "port", "request_url"),
    [
        ("http://127.0.0.1:8000/a?b=c", "127.0.0.1", 8000, "http://127.0.0.1:8000/a?b=c"),
        ("http://127.0.0.1:8000", "127.0.0.1", 8000, "http://127.0.0.1:8000/"),
        ("HTTP://LocalHost:80/A/../B", "localhost", 80, "http://localhost:80/A/../B"),
        ("https://example.com?x=%20#rc=2", "example.com", 443, "https://example.com/?x=%20"),
        ("http://[::1]:9/x", "::1", 9, "http://[::1]:9/x"),
        ("http://localhost/ü?ö=☃", "localhost", 80, "http://localhost/%C3%BC?%C3%B6=%E2%98%83"),
        ("http://me:p%40ss@127.0.0.1/x", "127.0.0.1", 80, "http://127.0.0.1/x"),
        ("http://blahblah.com/go?a=1&b=[1]", "blahblah.com", 80, "http://blahblah.com/go?a=1&b=[1]"),
    ],
)
def test_possible_url(text, host, port, request_url):
    """The parts, and the URL of the request: without user and fragment, with a path."""
    url = parse_callback_url(text)
    assert (url.text, url.host, url.port, url.request_url) == (text, host, port, request_url)


def test_credentials_of_the_url():
    """They are decoded."""
    url = parse_callback_url("http://me:p%40ss@127.0.0.1/x")
    assert (url.user, url.password) == ("me", "p@ss")
    assert parse_callback_url("http://127.0.0.1/x").user is None


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("hook.localhost", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("[::ffff:10.0.0.1]", False),
        ("0.0.0.0", False),
        ("[::]", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("localhost.example.com", False),
        ("127.0.0.1.nip.io", False),
        ("notlocalhost", False),
        ("example.com", False),
    ],
)
def test_loopback_by_name_or_address(host, loopback):
    """A name that might resolve to this machine is not loopback."""
    assert parse_callback_url(f"http://{host}/").is_loopback is loopback


def test_user_part_does_not_hide_the_host():
    """What stands before the @ is a user."""
    url = parse_callback_url("http://127.0.0.1:80@example.com/")
    assert (url.host, url.is_loopback) == ("example.com", False)


def test_overrides_in_the_fragment():
    """Milliseconds become seconds; what is out of range or unknown is ignored."""
    overrides = parse_callback_url("http://h/#rc=2&ct=500&rt=2000&tt=9000&rp=5xx,rt&e=dublin").overrides
    assert overrides == ConnectionOverrides(
        retries=2, causes=("rt", "5xx"), connect_timeout_s=0.5, read_timeout_s=2.0, total_time_s=9.0
    )
    assert parse_callback_url("http://h/#rp=all").overrides.causes == ("ct", "rt", "4xx", "5xx")
    assert parse_callback_url("http://h/#rc=6&ct=99&rt=x&rp=y&tt=999999").overrides == ConnectionOverrides()
