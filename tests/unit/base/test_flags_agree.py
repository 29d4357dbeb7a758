"""The quick reader of `haneul up` and the full parser know the same settings."""

from typer.testing import CliRunner

from haneul.base.config import Config
from haneul.cli.commands import app


def test_every_flag_of_the_full_parser_is_a_setting() -> None:
    command = next(
        each for each in app.registered_commands if each.callback is not None and each.callback.__name__ == "up"
    )
    assert command.callback is not None
    names = set(command.callback.__annotations__) - {"context", "return", "config"}

    assert names <= set(Config.__struct_fields__)


def test_help_teaches() -> None:
    shown = CliRunner().invoke(app, ["up", "--help"])

    assert shown.exit_code == 0
    assert "--data-dir" in shown.stdout and "Ctrl-C" in shown.stdout
