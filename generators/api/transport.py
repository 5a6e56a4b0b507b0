"""HTTP with bounds: sizes, times, and errors sorted by whether anything reached the service."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from phybench.errors import ConfigError
from phybench.services.retries import AttemptError, failed, transient

from .service import AmbiguousCreateError, rejected

if TYPE_CHECKING:
    import httpx

MAX_JSON = 8 * 2**20
MAX_CLIP = 2 * 2**30
"""Longest clip in bytes that is fetched."""
DOWNLOAD_S = 1800.0
"""Longest time for one download in seconds, however slowly the bytes come."""
_CONNECT_S, _READ_S = 10.0, 60.0
_GONE = (403, 404, 410)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A service's answer.

    Args:
        status: HTTP status.
        data: The JSON body.
        headers: The response's headers.
    """

    status: int
    data: Any
    headers: Mapping[str, str]


def check_base_url(url: str) -> str:
    """The address without a trailing slash.

    Raises:
        ConfigError: If it is none, or holds credentials.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f"Expected `base_url` to be an http(s) address, but got {url!r}.")
    if parts.username or parts.password:
        raise ConfigError("Expected `base_url` to hold no credentials; keys come from variables.")
    return url.rstrip("/")


def new_client(headers: Mapping[str, str] | None = None) -> httpx.Client:
    """A client that follows no redirects, so that keys go to one host only."""
    import httpx

    return httpx.Client(
        headers=dict(headers or {}), timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S)
    )


def ask(client: httpx.Client, url: str) -> HttpAnswer:
    """GET a JSON answer of any status.

    Raises:
        AttemptError: If none came.
    """
    import httpx

    try:
        return _answer(client, "GET", url, None)
    except httpx.TimeoutException as error:
        raise transient("timeout", f"The service did not answer in time: {error!r}") from None
    except (httpx.HTTPError, ValueError) as error:
        raise transient("connection", f"The connection broke: {error!r}") from None


def submit(client: httpx.Client, url: str, body: Mapping[str, Any]) -> HttpAnswer:
    """POST a job.

    Raises:
        AttemptError: If nothing was sent, or the service refused with a reason.
        AmbiguousCreateError: If something was sent and no usable answer came back.
    """
    import httpx

    try:
        answer = _answer(client, "POST", url, body)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
        raise transient("connection", f"The service cannot be reached: {error!r}") from None
    except (httpx.HTTPError, ValueError) as error:
        raise AmbiguousCreateError(f"the answer was lost: {error!r}") from None
    if answer.status >= 500 or answer.status == 408:
        raise AmbiguousCreateError(f"the service answered {answer.status}")
    if answer.status >= 400:
        raise rejected(answer.status, excerpt(answer.data), answer.headers)
    return answer


def _answer(
    client: httpx.Client, method: str, url: str, body: Mapping[str, Any] | None
) -> HttpAnswer:
    with client.stream(method, url, json=body) as response:
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_JSON:
                raise ValueError(f"the answer is longer than {MAX_JSON} bytes")
        raw = b"".join(chunks)
        try:
            data = json.loads(raw)
        except ValueError:
            if response.status_code < 400:
                raise
            data = raw[:1000].decode("utf-8", "replace")
        return HttpAnswer(response.status_code, data, response.headers)


def excerpt(data: Any) -> str:
    """The beginning of an answer, for messages."""
    text = data if isinstance(data, str) else json.dumps(data)
    return text[:1000]


def download(url: str, path: Path) -> None:
    """Fetch a clip; plain, without keys.

    A file that ends early is noticed if the host says how long it is, or ends a chunked answer
    without its last chunk; otherwise only by whoever decodes it.

    Raises:
        AttemptError: Of kind ``expired`` if the address is no longer valid, ``oversize`` above
            `MAX_CLIP`, ``timeout``, else of the network's or the service's kind.
    """
    import httpx

    if urlsplit(url).scheme not in {"http", "https"}:
        raise failed("protocol", "Expected the clip's address to be http(s).")
    try:
        with (
            httpx.stream("GET", url, timeout=_READ_S, follow_redirects=True) as response,
            path.open("wb") as file,
        ):
            _check_download(response)
            deadline = time.monotonic() + DOWNLOAD_S
            for chunk in response.iter_bytes():
                file.write(chunk)
                if file.tell() > MAX_CLIP:
                    raise _oversize()
                if time.monotonic() > deadline:
                    raise transient("timeout", f"The clip took longer than {DOWNLOAD_S:.0f} s.")
    except httpx.HTTPError as error:
        # The address is a secret while it lasts, and httpx quotes it: only the kind is told.
        kind = type(error).__name__
        raise transient("connection", f"The download broke off: {kind}.") from None


def _check_download(response: httpx.Response) -> None:
    """Refuse what is no clip before its first byte."""
    if response.status_code in _GONE:
        raise failed("expired", "The clip's address is no longer valid.", retryable=True)
    if response.status_code != 200:
        raise transient("server", f"The clip's host answered {response.status_code}.")
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_CLIP:
        raise _oversize()


def _oversize() -> AttemptError:
    return failed("oversize", f"The clip is longer than {MAX_CLIP} bytes.")
