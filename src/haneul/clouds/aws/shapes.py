"""Shapes and references to them, as the published models write them; prose is left out."""

from typing import Any

import msgspec


class Ref(msgspec.Struct, rename="camel", gc=False, omit_defaults=True):
    """A reference to a shape from a member, list, map or operation, with the traits that override the shape's own."""

    shape: str
    location_name: str | None = None
    location: str | None = None
    flattened: bool = False
    streaming: bool = False
    xml_namespace: Any = None
    xml_attribute: bool = False
    jsonvalue: bool = False
    idempotency_token: bool = False
    timestamp_format: str | None = None
    eventpayload: bool = False
    eventheader: bool = False
    enum: tuple[str, ...] | None = None
    result_wrapper: str | None = None
    query_name: str | None = None


class ErrorTrait(msgspec.Struct, rename="camel", gc=False):
    """What an exception shape says about its own wire form."""

    code: str | None = None
    http_status_code: int | None = None
    sender_fault: bool | None = None


class Shape(msgspec.Struct, rename="camel", gc=False, omit_defaults=True):
    """A shape of the model. type: structure | list | map | string | integer | long | float | double | boolean | blob |
    timestamp (also short, byte, character, bigInteger, bigDecimal in services that haneul does not name)."""

    type: str
    members: dict[str, Ref] = {}
    member: Ref | None = None
    key: Ref | None = None
    value: Ref | None = None
    required: tuple[str, ...] = ()
    min: float | int | None = None
    max: float | int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] | None = None
    flattened: bool = False
    payload: str | None = None
    location_name: str | None = None
    xml_namespace: Any = None
    timestamp_format: str | None = None
    exception: bool = False
    error: ErrorTrait | None = None
    fault: bool = False
    sensitive: bool = False
    streaming: bool = False
    eventstream: bool = False
    union: bool = False
    document: bool = False
