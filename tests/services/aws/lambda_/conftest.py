import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

_COUNT = itertools.count(1)


@pytest.fixture
def client(cloud: Any) -> Any:
    return cloud.client("lambda")


@pytest.fixture
def name() -> Iterator[str]:
    """A function name that no other test has."""
    yield f"function-{next(_COUNT)}"


@pytest.fixture
def refusal() -> Callable[..., tuple[str, int, str]]:
    """Call an operation that must fail: (code, status, message)."""

    def of(operation: Callable[..., Any], **members: Any) -> tuple[str, int, str]:
        with pytest.raises(ClientError) as failure:
            operation(**members)
        answer = failure.value.response
        return (
            answer["Error"]["Code"],
            answer["ResponseMetadata"]["HTTPStatusCode"],
            answer["Error"]["Message"],
        )

    return of
