"""The small parts under the protocols: CBOR, event streams, timestamps, page tokens, ARNs, service names."""

import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from haneul.base.errors import Damaged
from haneul.base.scope import Scope
from haneul.clouds.aws import coverage
from haneul.clouds.aws.call import AwsError
from haneul.clouds.aws.model import Library
from haneul.clouds.aws.names import Arn, arn, bucket_arn, global_arn, parse_arn
from haneul.clouds.aws.pages import cut, make_token, read_token
from haneul.clouds.aws.protocols import timestamps
from haneul.clouds.aws.protocols.cbor import CborError, Timestamp, dumps, loads
from haneul.clouds.aws.protocols.json import JsonCodec
from haneul.clouds.aws.protocols.rest_json import RestJsonCodec
from haneul.clouds.aws.protocols.rest_xml import RestXmlCodec
from haneul.clouds.aws.services import Services, module_name, service_name
from tests.unit.aws.driver import content

LIBRARY = Library()


@pytest.mark.parametrize(
    ("value", "encoded"),
    # RFC 8949, appendix A.
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (1000000000000, "1b000000e8d4a51000"),
        (18446744073709551615, "1bffffffffffffffff"),
        (-1, "20"),
        (-1000, "3903e7"),
        (1.1, "fb3ff199999999999a"),
        (False, "f4"),
        (True, "f5"),
        (None, "f6"),
        (b"\x01\x02\x03\x04", "4401020304"),
        ("", "60"),
        ("水", "63e6b0b4"),
        ([], "80"),
        ([1, [2, 3], [4, 5]], "8301820203820405"),
        ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
        (Timestamp(1363896240.5), "c1fb41d452d9e8" + "200000" + "00"),
    ],
)
def test_cbor_is_written_and_read_as_the_standard_says(value: Any, encoded: str) -> None:
    if isinstance(value, Timestamp):
        encoded = "c1fb" + struct.pack(">d", value).hex()

    assert dumps(value).hex() == encoded
    assert loads(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("f93c00", 1.0),
        ("f97c00", float("inf")),
        ("fa47c35000", 100000.0),
        ("f7", None),
        ("c11a514b67b0", 1363896240.0),
        ("c249010000000000000000", 18446744073709551616),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", "http://www.example.com"),
    ],
)
def test_cbor_of_other_writers_is_read(encoded: str, value: Any) -> None:
    assert loads(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(
    "encoded",
    (
        " ff 18 1c 1f 61 62c328 81 9f a1 a101 bf01ff 5f01ff 5f5f4101ffff 0000 fb00 f8ff c1 c16161 a18000 "
        + "81" * 200
        + " 9bffffffffffffffff bb0000ffffffffffff"
    ).split(" "),
)
def test_malformed_cbor_is_refused(encoded: str) -> None:
    with pytest.raises(CborError):
        loads(bytes.fromhex(encoded))


async def frames_of(response: Any) -> list[tuple[dict[str, Any], bytes]]:
    """Headers and payloads, as botocore's own reader sees them (it checks both CRCs)."""
    buffer = EventStreamBuffer()
    buffer.add_data(await content(response))
    return [(message.headers, message.payload) for message in buffer]


async def test_a_function_streams_its_response() -> None:
    model = LIBRARY.load("lambda")

    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"PayloadChunk": {"Payload": b"hello "}}
        yield {"InvokeComplete": {"ErrorCode": "Unhandled", "LogResult": "bG9n"}}

    encode = RestJsonCodec().encoder(model, model.operations["InvokeWithResponseStream"])
    response = encode({"StatusCode": 200, "ExecutedVersion": "1", "EventStream": events()}, "r")
    frames = await frames_of(response)

    assert (b"content-type", b"application/vnd.amazon.eventstream") in response.headers
    assert (b"x-amz-executed-version", b"1") in response.headers
    assert frames[0] == (
        {":event-type": "PayloadChunk", ":message-type": "event", ":content-type": "application/octet-stream"},
        b"hello ",
    )
    assert (
        frames[1][0][":event-type"] == "InvokeComplete"
        and frames[1][1] == b'{"ErrorCode":"Unhandled","LogResult":"bG9n"}'
    )


async def test_a_live_tail_starts_with_the_initial_response_and_ends_with_an_error() -> None:
    model = LIBRARY.load("logs")

    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"sessionUpdate": {"sessionResults": [{"message": "m", "timestamp": 1}]}}
        raise AwsError("SessionTimeoutException", "over")

    encode = JsonCodec(b"1.1").encoder(model, model.operations["StartLiveTail"])
    frames = await frames_of(encode({"responseStream": events()}, "r"))

    assert [headers.get(":event-type") or headers.get(":exception-type") for headers, _ in frames] == [
        "initial-response",
        "sessionUpdate",
        "SessionTimeoutException",
    ]
    assert frames[1][1] == b'{"sessionResults":[{"message":"m","timestamp":1}]}'


async def test_s3_select_streams_records_and_statistics() -> None:
    model = LIBRARY.load("s3")

    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"Records": {"Payload": b"a,b\n"}}
        yield {"Stats": {"Details": {"BytesScanned": 4}}}
        yield {"End": {}}

    encode = RestXmlCodec().encoder(model, model.operations["SelectObjectContent"])
    frames = await frames_of(encode({"Payload": events()}, "r"))

    assert [payload for _, payload in frames[:2]] == [b"a,b\n", b"<Stats><BytesScanned>4</BytesScanned></Stats>"]
    assert frames[2][0][":event-type"] == "End"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-02T03:04:05Z", 1767323045.0),
        ("2026-01-02T03:04:05.250Z", 1767323045.25),
        ("2026-01-02T05:04:05+02:00", 1767323045.0),
        ("2026-01-02", 1767312000.0),
        ("20260102T030405Z", 1767323045.0),
        ("Fri, 02 Jan 2026 03:04:05 GMT", 1767323045.0),
        ("Friday, 02-Jan-26 03:04:05 GMT", 1767323045.0),
        ("1767323045", 1767323045.0),
        ("1767323045.5", 1767323045.5),
        ("1.767323045E9", 1767323045.0),
        ("-1", -1.0),
    ],
)
def test_times_are_read_in_every_spelling(text: str, seconds: float) -> None:
    assert timestamps.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-13-01T00:00:00Z", "Fri, 02 Foo 2026 03:04:05 GMT", "1e999", "2026-01-02T25:00:00Z", "9" * 400],
)
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        timestamps.parse(text)


def test_times_are_written_as_each_place_wants_them() -> None:
    assert timestamps.iso(1767323045.0) == "2026-01-02T03:04:05Z"
    assert timestamps.iso(1767323045.25) == "2026-01-02T03:04:05.250Z"
    assert timestamps.iso_milliseconds(1767323045) == "2026-01-02T03:04:05.000Z"
    assert timestamps.http_date(1767323045.9) == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert timestamps.unix(1767323045.0) == 1767323045 and timestamps.unix(1767323045.1234) == 1767323045.123


def refuse() -> Exception:
    return Damaged("token")


def test_a_page_token_leads_to_the_next_page() -> None:
    names = [f"n{number}" for number in range(5)]

    page, token = cut(names[:3], 2, "ListNames", lambda name: [name, 1])

    assert page == ["n0", "n1"] and token is not None
    assert read_token(token, "ListNames", refuse) == ["n1", 1]
    assert cut(names[:2], 2, "ListNames", str) == (["n0", "n1"], None)
    assert cut([], 2, "ListNames", str) == ([], None)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: it[:-4],
        lambda it: "A" + it[1:],
        lambda it: "",
        lambda it: "é",
        lambda it: it * 9999,
        lambda it: "AAAA",
    ],
)
def test_a_damaged_page_token_is_refused(spoil: Any) -> None:
    with pytest.raises(Damaged):
        read_token(spoil(make_token("key", "ListNames prefix=a")), "ListNames prefix=a", refuse)


def test_a_page_token_is_of_its_listing_only() -> None:
    with pytest.raises(Damaged):
        read_token(make_token("key", "ListNames prefix=a"), "ListNames prefix=b", refuse)


def test_arns_are_built_and_taken_apart() -> None:
    scope = Scope("123456789012", "eu-west-1")

    assert arn("lambda", scope, "function:f") == "arn:aws:lambda:eu-west-1:123456789012:function:f"
    assert global_arn("iam", scope, "role/r") == "arn:aws:iam::123456789012:role/r"
    assert arn("sqs", Scope("1", "cn-north-1"), "q") == "arn:aws-cn:sqs:cn-north-1:1:q"
    assert bucket_arn("b") == "arn:aws:s3:::b" and bucket_arn("b", "a/k") == "arn:aws:s3:::b/a/k"
    text = "arn:aws:lambda:eu-west-1:123456789012:function:f:1"
    assert (
        parse_arn(text) == Arn("aws", "lambda", "eu-west-1", "123456789012", "function:f:1")
        and str(parse_arn(text)) == text
    )


@pytest.mark.parametrize("text", ["", "arn", "arn:aws:s3", "arn:aws:s3:::", "urn:aws:s3:::b", "arn::s3:::b"])
def test_other_texts_are_no_arns(text: str) -> None:
    assert parse_arn(text) is None


def test_services_are_found_by_their_modules() -> None:
    assert module_name("lambda") == "lambda_" and module_name("cognito-idp") == "cognito_idp"
    assert service_name("lambda_") == "lambda" and service_name("cognito_idp") == "cognito-idp"
    assert Services().get("nothing") is None
    for name in Services().names():
        assert name in LIBRARY


def test_offered_operations_exist_in_the_model() -> None:
    services = Services()
    for name in services.names():
        service = services.get(name)
        assert service is not None and service.name == name
        assert set(service.operations) <= set(LIBRARY.load(name).operations)


def test_a_model_that_does_not_exist_is_not_found() -> None:
    for name in ("", "nothing", "../data", "s3/2006-03-01", "."):
        assert name not in LIBRARY
        with pytest.raises(KeyError):
            LIBRARY.load(name)


def test_the_coverage_pages_are_fresh() -> None:
    folder = Path(__file__).parents[3] / "docs" / "services"
    made = coverage.pages(Services(), LIBRARY, folder / "notes")

    stale = [
        name for name, text in made.items() if not (folder / name).is_file() or (folder / name).read_text() != text
    ]
    assert stale == [], "run: python -m haneul.clouds.aws.coverage"
    assert {file.name for file in folder.glob("*.md")} == set(made)


def test_coverage_pages_are_written_once(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("somebody's own words")
    coverage.main([str(tmp_path)])
    (tmp_path / "gone.md").write_text((tmp_path / "s3.md").read_text())

    coverage.main([str(tmp_path)])

    assert not (tmp_path / "gone.md").exists() and (tmp_path / "mine.md").exists()
    assert "# AWS services" in (tmp_path / "README.md").read_text()


def test_asking_for_help_with_the_coverage_pages_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as left:
        coverage.main(["--help"])

    assert left.value.code == 0 and "docs/services" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
