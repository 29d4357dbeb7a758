"""GetFunction's Code.Location gives the package back, to whoever has the link and to nobody else."""

import hashlib
import urllib.error
import urllib.request

import pytest

from tests.cloud import TestCloud
from tests.functions import make_function, package

SOURCE = "def handler(event, context):\n    return 1\n"


def test_the_package_comes_back_byte_for_byte(cloud: TestCloud) -> None:
    client = cloud.client("lambda")
    sent = package(SOURCE)
    make_function(client, "located", SOURCE, Code={"ZipFile": sent})

    location = client.get_function(FunctionName="located")["Code"]["Location"]
    fetched = urllib.request.urlopen(location).read()

    assert hashlib.sha256(fetched).digest() == hashlib.sha256(sent).digest()


def test_a_changed_link_leads_nowhere(cloud: TestCloud) -> None:
    client = cloud.client("lambda")
    make_function(client, "hidden", SOURCE)
    location = client.get_function(FunctionName="hidden")["Code"]["Location"]

    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(location[:-1] + ("0" if location[-1] != "0" else "1"))

    assert caught.value.code == 404
