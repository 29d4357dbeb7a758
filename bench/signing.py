"""AWS Signature Version 4 over the Authorization header, as small as a client can have it."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime


class Signer:
    """Signs for one access key and region. Signatures made here stay valid for 15 minutes."""

    def __init__(self, key: str, secret: str, region: str) -> None:
        self._key = key
        self._secret = secret
        self._region = region
        self._keys: dict[tuple[str, str], bytes] = {}

    def sign(
        self, service: str, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        """The headers (names in lower case) with date, payload hash and signature added. query is canonical already."""
        now = datetime.now(UTC)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        digest = hashlib.sha256(body).hexdigest()
        signed = {**headers, "x-amz-date": stamp}
        if service == "s3":
            signed["x-amz-content-sha256"] = digest
        names = sorted(signed)
        fields = "".join(f"{name}:{signed[name].strip()}\n" for name in names)
        canonical = "\n".join((method, path, query, fields, ";".join(names), digest))
        scope = f"{day}/{self._region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._signing_key(day, service), text.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return signed

    def _signing_key(self, day: str, service: str) -> bytes:
        key = self._keys.get((day, service))
        if key is None:
            key = f"AWS4{self._secret}".encode()
            for part in (day, self._region, service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._keys[day, service] = key
        return key
