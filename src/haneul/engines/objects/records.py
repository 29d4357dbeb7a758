"""What the objects engine keeps: buckets, objects, bodies, uploads; and the keys under which each stands."""

import msgspec

from haneul.storage import keys
from haneul.storage.outbox import OUTBOX, Target
from haneul.storage.store import Schema, Space

UNVERSIONED = "null"
"""The version id of an object in a bucket that keeps no versions."""


class Subscription(msgspec.Struct, frozen=True):
    """Whom to tell of which changes. events: kinds such as "created:put", or "created:*"; format: see storage.outbox."""

    id: str
    target: Target
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""
    format: str = "raw"


class Bucket(msgspec.Struct, frozen=True):
    """A bucket; its name is unique over all accounts and regions.

    settings  documents that a face records beside it (policy, tags, rules …) by name; the engine does not read them
    shared    accounts other than the owner's may be let in: a policy or grant says so, which is checked further up
    """

    name: str
    account: str
    region: str
    created_ms: int
    shared: bool = False
    subscriptions: tuple[Subscription, ...] = ()
    settings: dict[str, bytes] = {}


class Owned(msgspec.Struct, frozen=True, array_like=True):
    """That an account owns a bucket: the index from which its buckets are listed."""

    region: str
    created_ms: int


class Description(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the writer says about an object.

    headers   content-type, cache-control and the like, by lower-case name
    metadata  the writer's own names and values
    extras    further facts that a face records with the object (encryption asked for, redirect …)
    """

    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    storage_class: str = "STANDARD"
    tags: dict[str, str] = {}
    extras: dict[str, str] = {}


class Body(msgspec.Struct, frozen=True, array_like=True):
    """Where bytes lie. kind: "row" (in BODIES), "blob", or "parts" (a Layout); "" holds none (size 0)."""

    kind: str
    id: str
    size_bytes: int


class Object(msgspec.Struct, frozen=True, array_like=True):
    """The current version of a key.

    etag      hexadecimal MD5 of the body; of an object made of parts, the MD5 of theirs and "-" and their number
    digests   further digests in hexadecimal by algorithm; those of parts, when `composite`, followed by "-" and their number
    parts     the number of parts it was uploaded in; 0 when it was uploaded as a whole
    sequence  grows with each change of the key: orders the events of a key
    """

    version: str
    etag: str
    body: Body
    modified_ms: int
    sequence: int
    digests: dict[str, str]
    composite: bool
    parts: int
    description: Description


class Inline(msgspec.Struct, frozen=True, array_like=True):
    """The bytes of a small body, apart from its object's row so that listings stay lean."""

    data: bytes


class Held(msgspec.Struct, frozen=True, array_like=True):
    """That a blob is in use; written and removed with the row that refers to it. The sweep removes blobs without one."""

    bucket: str


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One uploaded part."""

    number: int
    etag: str
    body: Body
    digests: dict[str, str]
    modified_ms: int


class Layout(msgspec.Struct, frozen=True, array_like=True):
    """The parts of an object that was uploaded in parts, in order; under the id of its upload."""

    parts: tuple[Part, ...]


class Upload(msgspec.Struct, frozen=True):
    """A multipart upload under way.

    algorithm  of the checksum that parts carry; asked: the writer named it (else it is the default)
    composite  the whole object's checksum is made of its parts' checksums instead of its bytes
    revision   grows with each part that is written
    """

    id: str
    bucket: str
    key: str
    created_ms: int
    description: Description
    algorithm: str
    asked: bool = False
    composite: bool = False
    initiator: str = ""
    revision: int = 0


BUCKETS: Space[Bucket] = Space("buckets", Bucket)
OWNED: Space[Owned] = Space("owned", Owned)
OBJECTS: Space[Object] = Space("objects", Object)
"""The current version of each key and nothing else, so that a listing reads only what it returns.
Versions that are no longer current belong in a space of their own, under (bucket, key, falling sequence)."""
BODIES: Space[Inline] = Space("bodies", Inline)
LAYOUTS: Space[Layout] = Space("layouts", Layout)
HELD: Space[Held] = Space("held", Held)
UPLOADS: Space[Upload] = Space("uploads", Upload)
PARTS: Space[Part] = Space("parts", Part)

SCHEMA = Schema("objects", 1, (BUCKETS, OWNED, OBJECTS, BODIES, LAYOUTS, HELD, UPLOADS, PARTS, OUTBOX))


def bucket_key(bucket: str) -> bytes:
    return keys.pack(bucket)


def owned_key(account: str, bucket: str) -> bytes:
    return keys.pack(account, bucket)


def object_key(bucket: str, key: str) -> bytes:
    return keys.pack(bucket, key)


def id_key(id: str) -> bytes:
    """Of a body, a layout or a blob that is held."""
    return keys.pack(id)


def upload_key(bucket: str, key: str, id: str) -> bytes:
    """Upload ids begin with their time, so that the uploads of a key stand in the order in which they began."""
    return keys.pack(bucket, key, id)


def part_key(upload: str, number: int) -> bytes:
    return keys.pack(upload, number)
