"""Interpreters: which Pythons are on this machine, and which of them serves a runtime name such as "python3.12"."""

import asyncio
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from haneul.base import limits
from haneul.base.env import Env
from haneul.base.errors import Invalid, NotBuilt, Unavailable

from .api import Sandbox

OLDEST = 9  # python3.9: what boot/python.py runs on

_PYTHON = re.compile(r"python3\.(\d{1,2})")
_RUNTIMES = {
    "python": r"python(2\.7|3\.([6-9]|1[0-9]))",
    "Node.js": r"nodejs(4\.3(-edge)?|6\.10|8\.10|1[02468]\.x|2[024]\.x)?",
    "Java": r"java(8|8\.al2|11|17|21|25)",
    "Ruby": r"ruby(2\.5|2\.7|3\.[2-5])",
    ".NET": r"dotnet(core[123]\.[01]|6|8|10)",
    "Go": r"go1\.x",
    "custom": r"provided(\.al2|\.al2023)?",
}
_PROVIDED = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six")
_PICKY = ("boto3", "botocore", "s3transfer", "urllib3")  # of these, the ones that give up old Pythons
_AT_LEAST = re.compile(r">=\s*3\.(\d{1,2})")


class Interpreters:
    """The interpreters of this machine, by names such as "python3.12". Looking costs a few directory listings, once;
    each is run once to see that it is what its name says, when it is first used."""

    def __init__(self, env: Env, *, environ: Mapping[str, str] = os.environ, home: Path | None = None) -> None:
        self._env = env
        self._environ = environ
        self._home = home if home is not None else Path.home()
        self._found: dict[str, str] | None = None
        self._verified: set[str] = set()

    @property
    def found(self) -> dict[str, str]:
        """Name -> executable, in order of version; one for each version."""
        if self._found is None:
            by_minor: dict[int, str] = {sys.version_info[1]: os.path.realpath(sys.executable)}
            for minor, path in _candidates(_folders(self._environ.get("PATH", ""), self._home)):
                by_minor.setdefault(minor, path)
            self._found = {f"python3.{minor}": by_minor[minor] for minor in sorted(by_minor)}
        return self._found

    async def executable(self, interpreter: str) -> str:
        """The path of an interpreter, seen to run and to be of its version. Raises Unavailable when it is not."""
        path = self.found.get(interpreter)
        if path is None:
            raise Unavailable("interpreter", interpreter, "is not on this machine")
        if interpreter not in self._verified:
            said = await self._run(path, "-I", "-S", "-c", "import sys;print('python%d.%d'%sys.version_info[:2])")
            if said != interpreter:
                raise Unavailable("interpreter", interpreter, f"{path} does not run, or is another version")
            self._verified.add(interpreter)
        return path

    async def _run(self, *command: str) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError:
            return ""
        try:
            output, _ = await self._env.within(limits.INTERPRETER_CHECK_TIMEOUT_S, process.communicate())
        except TimeoutError:
            process.kill()
            await process.wait()
            return ""
        return output.decode(errors="replace").strip()


def choose_runtime(sandbox: Sandbox, *, strict: bool) -> Callable[[str], tuple[str, str]]:
    """A function that picks the interpreter for a runtime out of what the sandbox has, once it is open."""

    def choose(runtime: str) -> tuple[str, str]:
        interpreter, warning = nearest(sandbox.capabilities.runtimes, runtime, strict=strict)
        return interpreter, "; ".join(filter(None, (warning, without_boto3(interpreter))))

    return choose


def without_boto3(interpreter: str) -> str:
    """What to know of an interpreter that is too old for the provided packages; "" when it is not."""
    if can_import_provided(interpreter):
        return ""
    needs = f"Python 3.{provided_from()}"
    return f"{interpreter} functions bring their own boto3: the one provided needs {needs}"


def nearest(found: Iterable[str], runtime: str, *, strict: bool) -> tuple[str, str]:
    """Which of the found interpreters serves a runtime that AWS knows, and a warning when it is another version.

    strict: only the very version will do. Raises Invalid for an unknown name, NotBuilt for another language, Unavailable
    for what strict refuses.
    """
    family = next((name for name, pattern in _RUNTIMES.items() if re.fullmatch(pattern, runtime)), None)
    if family is None:
        raise Invalid("runtime", runtime, "is not the name of a runtime")
    if family != "python":
        raise NotBuilt("runtime", runtime, f"{family} functions are not offered yet; Python functions are")
    pythons = {int(match[1]): name for name in found if (match := _PYTHON.fullmatch(name))}
    wanted = 0 if runtime == "python2.7" else int(runtime.rpartition(".")[2])
    if wanted in pythons:
        return pythons[wanted], ""
    if strict or not pythons:
        raise Unavailable("runtime", runtime, f"{runtime} is not on this machine, and strict runtimes are asked for")
    minor = min(pythons, key=lambda minor: (abs(minor - wanted), minor))
    return pythons[minor], f"{runtime} is not on this machine; using {pythons[minor]}"


def provided_packages() -> dict[str, Path]:
    """Name -> folder or file of what functions may import without bringing it, as in Lambda: boto3 and what it needs."""
    found: dict[str, Path] = {}
    for name in _PROVIDED:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            place = origin.parent if spec.submodule_search_locations else origin
            found[place.name] = place
    return found


@cache
def provided_from() -> int:
    """The oldest Python 3 that can import the provided packages, by what their metadata says; 0 when it says nothing."""
    oldest = 0
    for name in _PICKY:
        try:
            wanted = ",".join(importlib.metadata.metadata(name).get_all("Requires-Python") or ())
        except importlib.metadata.PackageNotFoundError:
            continue
        oldest = max([oldest, *(int(minor) for minor in _AT_LEAST.findall(wanted))])
    return oldest


def can_import_provided(interpreter: str) -> bool:
    """Whether an interpreter ("python3.9") is new enough for them."""
    match = _PYTHON.fullmatch(interpreter)
    return match is None or int(match[1]) >= provided_from()


def link_provided_packages(folder: Path) -> Path:
    """Fill a folder with links to the provided packages, for tiers that see the real file tree; the folder again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, place in provided_packages().items():
        link = folder / name
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(place)
    return folder


def _folders(path: str, home: Path) -> Iterable[Path]:
    """Where interpreters live, the best first: version managers' own folders, then the usual places, then PATH."""
    for versions in (
        home / ".pyenv" / "versions",
        home / ".local" / "share" / "uv" / "python",
        home / ".asdf" / "installs" / "python",
    ):
        if versions.is_dir():
            yield from (entry / "bin" for entry in sorted(versions.iterdir(), reverse=True))
    yield from (Path("/usr/local/bin"), Path("/usr/bin"), Path("/opt/homebrew/bin"))
    # A version manager's shims are scripts that run whatever is selected elsewhere.
    yield from (Path(part) for part in path.split(os.pathsep) if part and Path(part).name != "shims")


def _candidates(folders: Iterable[Path]) -> Iterable[tuple[int, str]]:
    for folder in dict.fromkeys(map(os.path.realpath, folders)):
        try:
            names = os.listdir(folder)  # noqa: PTH208 - names are all we look at
        except OSError:
            continue
        for name in names:
            match = name.startswith("python3.") and _PYTHON.fullmatch(name)
            if match and int(match[1]) >= OLDEST and os.access(f"{folder}/{name}", os.X_OK):
                yield int(match[1]), os.path.realpath(f"{folder}/{name}")
