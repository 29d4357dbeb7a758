"""A cloud for the tests of services, spoken to by unmodified boto3."""

from collections.abc import Iterator

import pytest

from tests.cloud import TestCloud, test_config


@pytest.fixture(scope="module")
def cloud() -> Iterator[TestCloud]:
    """In memory, shared by the tests of one file: each names its own buckets, functions and roles."""
    running = TestCloud(test_config())
    yield running
    running.close()
