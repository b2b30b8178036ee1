"""Settings from environment variables: what they come to, and one line for each mistake."""

from __future__ import annotations

from hashlib import sha256
from ipaddress import ip_network

import pytest

from webui_image.server.environment import SettingsError, read
from webui_image.server.settings import Settings

KEY = "a-key-that-is-long-enough"


def test_nothing_set_gives_the_defaults():
    """An empty environment is a server on loopback."""
    assert read({}) == Settings()


def test_everything_set():
    """Each variable has its place."""
    found = read(
        {
            "HOST": "0.0.0.0",
            "PORT": "8080",
            "PATH_PREFIX": "/sd/",
            "API_KEYS": f"robot:{KEY}, other:sha256:{'a' * 64}",
            "BASIC_AUTH": "ada:correct horse",
            "IAP_AUDIENCE": "/projects/1/global/backendServices/2",
            "ALLOW_ANONYMOUS": "yes",
            "METRICS_OPEN": "0",
            "TRUSTED_PROXIES": "10.0.0.0/8, google",
            "ALLOWED_ORIGINS": "https://a.example,http://b.example:8080",
            "LIMIT_STEPS": "60",
            "LIMIT_BODY_SECONDS": "7.5",
            "DRAIN_SECONDS": "1.5",
            "TERMINATION_GRACE": "20",
            "LOG_PROMPTS": "1",
            "LOG_JSON": "off",
            "LOG_LEVEL": "DEBUG",
            "GPU_HUNTER_REGION": "us-central1",
            "GPU_HUNTER_POD": "pod-1",
            "APP_VERSION": "1.2.3",
        }
    )
    assert (found.host, found.port, found.path_prefix) == ("0.0.0.0", 8080, "/sd")
    keys = {key.name: key.sha256 for key in found.access.api_keys}
    assert keys == {"robot": sha256(KEY.encode()).hexdigest(), "other": "a" * 64}
    assert found.access.passwords[0].sha256 == sha256(b"correct horse").hexdigest()
    assert (found.access.anonymous, found.access.metrics_open) == (True, False)
    assert (found.trusted_proxies, found.google_balancer) == ((ip_network("10.0.0.0/8"),), True)
    assert found.allowed_origins == ("https://a.example", "http://b.example:8080")
    assert (found.limits.steps, found.limits.body_seconds) == (60, 7.5)
    assert (found.drain_seconds, found.termination_grace) == (1.5, 20.0)
    assert (found.log_prompts, found.log_json, found.log_level) == (True, False, "debug")
    assert (found.place.region, found.place.pod, found.place.version) == ("us-central1", "pod-1", "1.2.3")


def test_an_option_wins_over_its_variable():
    """The command line is nearer than the environment; an option that was not given is None."""
    found = read({"PORT": "1", "HOST": "127.0.0.2"}, port=2, host=None, anonymous=True)
    assert (found.port, found.host, found.access.anonymous) == (2, "127.0.0.2", True)


def test_keys_from_a_file(tmp_path):
    """A mounted secret has a key a line, with comments."""
    file = tmp_path / "keys"
    file.write_text(f"# robots\nrobot:{KEY}\n\nother:sha256:{'b' * 64}\n")
    assert [key.name for key in read({"API_KEYS_FILE": str(file)}).access.api_keys] == ["robot", "other"]


MISTAKES = {
    "port-as-a-word": ({"PORT": "http"}, "PORT: 'http' is wrong: write a whole number from 0 to 65535"),
    "port-too-large": ({"PORT": "65536"}, "PORT: '65536' is wrong: write a whole number from 0 to 65535"),
    "negative-port": ({"PORT": "-1"}, "PORT: '-1' is wrong"),
    "prefix-without-slash": ({"PATH_PREFIX": "sd"}, "PATH_PREFIX: 'sd' is wrong: write a path such as /sd"),
    "flag": ({"ALLOW_ANONYMOUS": "maybe"}, "ALLOW_ANONYMOUS: 'maybe' is wrong: write 1 or 0"),
    "proxy": ({"TRUSTED_PROXIES": "balancer"}, "TRUSTED_PROXIES: 'balancer' is wrong: 'balancer' is no network"),
    "origin": ({"ALLOWED_ORIGINS": "*"}, "ALLOWED_ORIGINS: '*' is wrong: '*' is no origin"),
    "seconds": ({"DRAIN_SECONDS": "3s"}, "DRAIN_SECONDS: '3s' is wrong: write seconds, e.g. 3 or 0.5"),
    "not-a-number": ({"DRAIN_SECONDS": "nan"}, "DRAIN_SECONDS: 'nan' is wrong"),
    "no-time-left": ({"DRAIN_SECONDS": "30"}, "DRAIN_SECONDS: 30 leaves nothing of TERMINATION_GRACE, 25"),
    "limit-of-zero": ({"LIMIT_PIXELS": "0"}, "LIMIT_PIXELS: '0' is wrong: write a whole number above 0"),
    "level": ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: 'loud' is wrong: write one of debug, error, info, warning"),
    "no-such-file": ({"IAP_KEYS_FILE": "/nowhere"}, "IAP_KEYS_FILE: '/nowhere' is wrong: there is no such file"),
    "no-key-file": ({"API_KEYS_FILE": "/nowhere"}, "API_KEYS_FILE: '/nowhere' is wrong: No such file"),
}


@pytest.mark.parametrize(("environ", "line"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(environ, line):
    """The variable, what it says, and what to write instead."""
    with pytest.raises(SettingsError) as raised:
        read(environ)
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


SECRETS = {
    "short-key": {"API_KEYS": "robot:hunter2"},
    "key-without-a-name": {"API_KEYS": "hunter2"},
    "bad-hash": {"API_KEYS": "robot:sha256:hunter2"},
    "short-password": {"BASIC_AUTH": "ada:hunter2"},
    "password-without-a-user": {"BASIC_AUTH": "hunter2"},
}


@pytest.mark.parametrize("environ", SECRETS.values(), ids=SECRETS)
def test_a_mistake_in_a_secret_does_not_repeat_it(environ):
    """What is wrong is said without what it says."""
    with pytest.raises(SettingsError) as raised:
        read(environ)
    assert "hunter2" not in str(raised.value)
    assert next(iter(environ)) in str(raised.value)


def test_all_mistakes_are_told_at_once():
    """One start shows them all, a line each."""
    with pytest.raises(SettingsError) as raised:
        read({"PORT": "x", "LOG_LEVEL": "y", "LIMIT_STEPS": "z"})
    assert len(str(raised.value).splitlines()) == 3
