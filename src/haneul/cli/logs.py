"""`haneul logs`: the last lines of a group, and with -f those that come."""

import datetime
import json
import sys
import time
from urllib.parse import urlencode

from .ask import Refused, ask

POLL_S = 0.5


def show_logs(
    url: str, group: str, *, follow: bool, lines: int, account: str | None, region: str | None, as_json: bool
) -> None:
    """Print events as `time stream-end text`; a bare function name means its own group.

    To follow a group that is not there yet is to wait for it.
    """
    name = group if group.startswith("/") else f"/aws/lambda/{group}"
    query = {"group": name, "limit": str(lines), "account": account, "region": region}
    position = None
    try:
        while True:
            try:
                position = _print(url, {**query, "after": position}, as_json) or position
            except Refused as error:
                if not follow or error.status != 404:
                    raise
            if not follow:
                return
            time.sleep(POLL_S)  # a client at a terminal, outside the cloud: there is no clock to be given
            query["limit"] = "1000"
    except KeyboardInterrupt:
        return


def _print(url: str, query: dict[str, str | None], as_json: bool) -> str | None:
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    answer = ask(url, f"/_haneul/logs?{asked}")
    for event in answer["events"]:
        if as_json:
            print(json.dumps(event, ensure_ascii=False))
            continue
        moment = datetime.datetime.fromtimestamp(event["time_ms"] / 1000).strftime("%H:%M:%S.%f")[:-3]
        print(f"{moment} {event['stream'][-6:]} {event['text'].rstrip()}")
    sys.stdout.flush()
    after: str | None = answer["after"]
    return after
