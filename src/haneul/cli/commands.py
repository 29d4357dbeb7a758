"""The commands of `haneul`, with their options and help. Each asks the running cloud and shows the answer."""

import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from . import show, words
from .ask import NotRunning, Refused, ask
from .running import find_url

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="haneul: a serverless cloud that anyone can run. Start with `haneul up`, or see everything at once with `haneul demo`.",
)

Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", help="Address of the cloud. Default: the one running from this folder, else port 4566."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main_errors(work: Callable[[], None]) -> None:
    """Run a command; what a user can mend becomes one line and exit status 1."""
    try:
        work()
    except (NotRunning, Refused) as error:
        print(f"haneul: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    except BrokenPipeError:
        raise typer.Exit(0) from None


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def up(
    context: typer.Context,
    port: Annotated[str | None, typer.Option(help="Port; 0 lets the system choose. Default 4566.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; anything but loopback needs --secure.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where state is kept. Default .haneul.")] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep everything in memory.")] = False,
    secure: Annotated[bool, typer.Option("--secure", help="Verify every signature, enforce every decision.")] = False,
    tls: Annotated[
        bool, typer.Option("--tls", help="Speak HTTPS, with a certificate of the built-in CA unless given.")
    ] = False,
    tier: Annotated[str | None, typer.Option(help="Isolation: auto, strict, userns, landlock or process.")] = None,
    egress: Annotated[str | None, typer.Option(help="Network of functions: auto, open or closed.")] = None,
    strict_runtimes: Annotated[
        bool, typer.Option("--strict-runtimes", help="Refuse runtimes this machine lacks.")
    ] = False,
    config: Annotated[str | None, typer.Option(help="Settings file. Default haneul.toml.")] = None,
) -> None:
    """Start the cloud here and run until Ctrl-C. Every setting is a flag, a HANEUL_… variable, or a line of haneul.toml."""
    from .up import run

    if context.args:
        print(
            f"haneul up: unknown option {context.args[0]}; see haneul up --help and docs/configuration.md",
            file=sys.stderr,
        )
        raise typer.Exit(2)
    given: dict[str, Any] = {
        "port": port, "host": host, "data_dir": data_dir, "ephemeral": ephemeral or None, "secure": secure or None,
        "tls": tls or None, "tier": tier, "egress": egress, "strict_runtimes": strict_runtimes or None, "config": config,
    }  # fmt: skip
    raise typer.Exit(run({name: value for name, value in given.items() if value is not None}))


@app.command()
def demo(
    images: Annotated[int, typer.Option(min=1, max=200, help="How many pictures to upload.")] = 12,
    crash: Annotated[
        bool, typer.Option("--crash", help="Kill the cloud with SIGKILL in the middle, and start it again.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cloud running afterwards.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where the thumbnails go. Default examples/thumbnails/out.")] = None,
) -> None:
    """Deploy a real application, run it on real input, and show result, trace and bill."""
    from .demo import DemoFailed, run_demo

    try:
        run_demo(count=images, crash=crash, keep=keep, out=out)
    except DemoFailed as error:
        print(f"haneul demo: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise typer.Exit(130) from None


@app.command()
def status(endpoint: Endpoint = None, as_json: AsJson = False) -> None:
    """What is running: mode, sandbox tier, functions, environments, buckets, deliveries that wait."""

    def work() -> None:
        answer = ask(find_url(endpoint), "/_haneul/status")
        if as_json:
            show.as_json(answer)
            return
        sandbox = answer.pop("sandbox")
        answer["sandbox"] = words.tier(sandbox["tier"], sandbox["reasons"])
        show.facts("haneul", [(name, _short(value)) for name, value in answer.items()])

    main_errors(work)


@app.command()
def doctor(as_json: AsJson = False, tier: Annotated[str, typer.Option(help="Try this tier only.")] = "auto") -> None:
    """What this machine can do: which sandbox tier is in force and why, which runtimes, what is missing and how to get it."""
    from .doctor import examine

    facts = examine(tier)
    if as_json:
        show.as_json(facts)
        return
    reasons = facts.pop("reasons")
    pairs = [(name, _short(value)) for name, value in facts.items()]
    show.facts("This machine", [*pairs, *(("not in force", reason) for reason in reasons)])
    if facts["sandbox tier"] == "none":
        raise typer.Exit(1)


@app.command()
def invoke(
    function: Annotated[str, typer.Argument(help="Name or ARN of the function.")],
    data: Annotated[
        str, typer.Option("--data", "-d", help="The event: JSON, or @file, or - for standard input.")
    ] = "{}",
    asynchronous: Annotated[bool, typer.Option("--async", help="Queue the event and return at once.")] = False,
    region: Annotated[str, typer.Option(help="Region of the function.")] = "us-east-1",
    endpoint: Endpoint = None,
) -> None:
    """Invoke a function and print its answer; its log goes to standard error. Exit status 1 when the function failed."""
    from .invoke import invoke_function

    main_errors(lambda: invoke_function(find_url(endpoint), function, data, asynchronous=asynchronous, region=region))


@app.command()
def logs(
    group: Annotated[str, typer.Argument(help="Function name, or the name of a log group.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many of the last lines.")] = 100,
    account: Annotated[str | None, typer.Option(help="Account.")] = None,
    region: Annotated[str | None, typer.Option(help="Region.")] = None,
    endpoint: Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """The log of a function."""
    from .logs import show_logs

    main_errors(
        lambda: show_logs(
            find_url(endpoint), group, follow=follow, lines=lines, account=account, region=region, as_json=as_json
        )
    )


@app.command()
def traces(
    trace: Annotated[
        str | None, typer.Argument(help="A trace id: shows its waterfall. Without it: the latest traces.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 20,
    endpoint: Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """The latest requests, or every hop of one of them."""

    def work() -> None:
        url = find_url(endpoint)
        if trace is not None:
            found = ask(url, f"/_haneul/traces/{trace}")
            show.as_json(found) if as_json else show.waterfall(found["spans"])
            return
        found = ask(url, f"/_haneul/traces?limit={limit}")
        if as_json:
            show.as_json(found)
            return
        lines = [
            (
                _clock(one["start_ms"]),
                one["trace_id"],
                one["name"],
                one["spans"],
                _ms(one["duration_us"]),
                one["outcome"],
            )
            for one in found
        ]
        show.rows("Traces", ("time", "trace", "request", "spans", "ms", "outcome"), lines, right=("spans", "ms"))

    main_errors(work)


@app.command()
def cost(
    since: Annotated[str, typer.Option(help="From when: an ISO date or time, or e.g. 15m, 2h, 7d ago.")] = "30d",
    endpoint: Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """What the runs of this cloud would have cost on AWS, by its published price sheet."""

    def work() -> None:
        found = ask(find_url(endpoint), f"/_haneul/cost?since={since}")
        if as_json:
            show.as_json(found)
            return
        show.bill(found)

    main_errors(work)


@app.command()
def reset(
    account: Annotated[str | None, typer.Option(help="Only this account; default: everything.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    endpoint: Endpoint = None,
) -> None:
    """Wipe an account, or everything (developer mode only)."""

    def work() -> None:
        url = find_url(endpoint)
        what = f"account {account}" if account else "everything"
        if not yes and not typer.confirm(f"Wipe {what} in the cloud at {url}?"):
            raise typer.Exit(1)
        ask(url, "/_haneul/reset" + (f"?account={account}" if account else ""), method="POST")
        print(f"wiped {what}")

    main_errors(work)


@app.command()
def version() -> None:
    """The version of haneul."""
    from haneul import __version__

    print(__version__)


def _short(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(sorted(map(str, value), key=words.by_version))
        case dict():
            return ", ".join(f"{name} ({value[name]})" for name in sorted(value, key=words.by_version))
        case _:
            return str(value)


def _clock(start_ms: float) -> str:
    return datetime.datetime.fromtimestamp(start_ms / 1000).strftime("%H:%M:%S.%f")[:-3]


def _ms(duration_us: int) -> str:
    return f"{duration_us / 1000:.2f}"
