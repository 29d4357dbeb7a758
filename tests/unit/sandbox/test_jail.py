"""What of an interpreter outside of /usr is shown inside."""

from pathlib import Path

from haneul.sandbox import jail


def _install(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (folder / "bin" / "python3.11").touch()
    return folder


def test_the_systems_interpreter_needs_nothing() -> None:
    assert jail.interpreter_binds("/usr/bin/python3", ("/usr", "/usr")) == ((), ())


def test_an_interpreter_elsewhere_is_shown_at_its_own_path_without_its_packages(tmp_path: Path) -> None:
    home = _install(tmp_path / "versions" / "3.11")

    binds, hidden = jail.interpreter_binds(str(home / "bin" / "python3.11"), (str(home), str(home)))

    assert binds == ((str(home), str(home)),)
    assert hidden == (str(home / "lib" / "python3.11" / "site-packages"),)


def test_a_link_to_an_interpreter_shows_where_it_really_is(tmp_path: Path) -> None:
    home = _install(tmp_path / "real")
    link = tmp_path / "link"
    link.symlink_to(home / "bin" / "python3.11")

    binds, _ = jail.interpreter_binds(str(link), (str(home),))

    assert binds == ((str(home), str(home)),)


def test_a_folder_whose_name_only_begins_alike_is_another() -> None:
    binds, _ = jail.interpreter_binds("/usrlocal/bin/python3", ("/usrlocal",))

    assert binds == (("/usrlocal", "/usrlocal"),)
