"""Where the commands find the cloud, and to whom they show keys."""

import json
import os
from pathlib import Path

import pytest

from haneul.cli.ask import NotRunning, Refused, ask
from haneul.cli.running import DEFAULT_URL, find_ca, find_root_credentials, find_token, find_url, write_running

URL = "https://127.0.0.1:5000"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HANEUL_ENDPOINT", "HANEUL_ADMIN_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HANEUL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_the_cloud_of_the_folder_is_found_while_it_runs(data: Path) -> None:
    with write_running(data, URL, directory=data, ca=data / "ca.pem"):
        assert find_url(None) == URL
        assert find_url("http://elsewhere/") == "http://elsewhere"
        assert find_ca(URL) == str(data / "ca.pem")
    assert find_url(None) == DEFAULT_URL
    assert list(data.iterdir()) == []


def test_keys_are_shown_to_the_folders_own_cloud_only(data: Path) -> None:
    with write_running(data, URL, directory=data, ca=None):
        (data / "admin-token").write_text("secret\n")
        (data / "root-credentials").write_text("[default]\n")

        assert find_token(URL) == "secret" and find_root_credentials(URL) == "[default]"
        assert find_token("https://elsewhere") is None and find_root_credentials("https://elsewhere") is None


def test_a_token_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANEUL_ADMIN_TOKEN", "given")

    assert find_token("https://elsewhere") == "given"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": "http://x"}', '{"url": "http://x", "pid": "a"}'])
def test_a_note_that_is_no_note_is_passed_over(data: Path, text: str) -> None:
    data.mkdir()
    (data / "running.json").write_text(text)

    assert find_url(None) == DEFAULT_URL


def test_the_note_of_a_killed_process_is_passed_over(data: Path) -> None:
    data.mkdir()
    (data / "running.json").write_text(json.dumps({"url": URL, "pid": 2**22 + 1}))

    assert find_url(None) == DEFAULT_URL


def test_an_ephemeral_cloud_leaves_the_note_of_the_folders_owner_alone(data: Path, tmp_path: Path) -> None:
    with write_running(data, URL, directory=data, ca=None):
        with write_running(data, "http://127.0.0.1:1", directory=tmp_path / "elsewhere", ca=None):
            assert find_url(None) == URL
        assert find_url(None) == URL
    with write_running(data, "http://127.0.0.1:1", directory=tmp_path / "elsewhere", ca=None):
        assert find_url(None) == "http://127.0.0.1:1"
    assert os.listdir(data) == []


@pytest.mark.parametrize("url", ["foo", "127.0.0.1:4566", "ftp://x", ""])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(Refused, match="http://"):
        ask(url, "/_haneul/status")


def test_no_cloud_is_said_with_what_to_do() -> None:
    with pytest.raises(NotRunning, match="haneul up"):
        ask("http://127.0.0.1:1", "/_haneul/status")
