"""Settings come from file, variables and flags, in this order, and are checked together."""

from pathlib import Path

import pytest

from haneul.base.config import load_config
from haneul.base.errors import Invalid
from haneul.cli.flags import parse_flags


def test_flags_win_over_variables_and_variables_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "haneul.toml"
    file.write_text('port = 1\nregion = "eu-west-1"\nidle_s = 5\n')

    config = load_config({"port": "3"}, {"HANEUL_PORT": "2", "HANEUL_REGION": "eu-west-2"}, file)

    assert (config.port, config.region, config.idle_s) == (3, "eu-west-2", 5.0)


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"port": "seventy"}, "port"),
        ({"port": 70000}, "port"),
        ({"prot": 1}, "prot"),
        ({"account": "12"}, "account"),
        ({"tier": "loose"}, "tier"),
        ({"host": "0.0.0.0"}, "host"),
        ({"tls_certificate": "a.pem"}, "tls_certificate"),
        ({"secure": "perhaps"}, "secure"),
    ],
)
def test_a_wrong_setting_is_named(flags: dict[str, object], name: str) -> None:
    with pytest.raises(Invalid) as caught:
        load_config(flags, {})

    assert caught.value.name == name


def test_other_addresses_than_loopback_need_secure_mode() -> None:
    assert load_config({"host": "0.0.0.0", "secure": True}, {}).host == "0.0.0.0"


def test_a_broken_settings_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "haneul.toml"
    file.write_text("port = = 1")

    with pytest.raises(Invalid, match=r"haneul\.toml"):
        load_config({}, {}, file)


def test_switches_are_words_in_variables() -> None:
    assert load_config({}, {"HANEUL_SECURE": "true"}).secure
    assert not load_config({}, {"HANEUL_SECURE": "false"}).secure


def test_flags_are_the_settings() -> None:
    assert parse_flags(["--port", "5100", "--data-dir=/tmp/x", "--secure"]) == {
        "port": "5100",
        "data_dir": "/tmp/x",
        "secure": True,
    }


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--port"], ["-p", "1"], ["--nonsense", "1"], ["extra"], ["--secure=yes"]]
)
def test_what_is_no_setting_goes_to_the_full_parser(arguments: list[str]) -> None:
    assert parse_flags(arguments) is None
