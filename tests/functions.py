"""Small functions for tests: a package out of source text, and a function made of it."""

import io
import json
import zipfile
from typing import Any

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def package(source: str, name: str = "app.py") -> bytes:
    """A zip with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, source)
    return buffer.getvalue()


def make_function(client: Any, name: str, source: str, **settings: Any) -> str:
    """Create it, wait until it is active, and return its ARN."""
    made = client.create_function(
        **{
            "FunctionName": name,
            "Runtime": "python3.11",
            "Role": "arn:aws:iam::000000000000:role/any",
            "Handler": "app.handler",
            "Code": {"ZipFile": package(source)},
            **settings,
        }
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    return str(made["FunctionArn"])
