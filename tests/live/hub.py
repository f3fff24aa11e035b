"""Calls to a Hub, with the standard library alone."""

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

# A free account may make 1,000 calls in five minutes. The walk stays well below.
MOST_CALLS = 800
TIMEOUT_SECONDS = 30

# What a call raises if there is no whole response.
BROKEN = (OSError, http.client.HTTPException)


class Stopped(Exception):
    """The walk cannot go on. The text says why."""


@dataclass(frozen=True)
class Response:
    method: str
    path: str
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    def json(self):
        return json.loads(self.body)

    @property
    def message(self):
        """The message of an error."""
        return self.headers.get("X-Error-Message")

    @property
    def code(self):
        return self.headers.get("X-Error-Code")

    @property
    def error(self):
        return self.status, self.message

    def limit(self):
        """Returns the bucket of the rate limit, the calls left, the seconds to the reset, the quota and the window."""
        left = re.fullmatch(r'"([^"]+)";r=(\d+);t=(\d+)', self.headers.get("RateLimit", ""))
        policy = re.fullmatch(r'"fixed window";"([^"]+)";q=(\d+);w=(\d+)', self.headers.get("RateLimit-Policy", ""))
        if not left or not policy or left[1] != policy[1]:
            return None
        return Limit(left[1], *map(int, (left[2], left[3], policy[2], policy[3])))


@dataclass(frozen=True)
class Limit:
    bucket: str
    left: int
    seconds: int
    quota: int
    window: int


class _Raw(urllib.request.HTTPErrorProcessor):
    """Returns every response as it is, also errors and redirects."""

    def http_response(self, request, response):
        return response

    https_response = http_response


class Hub:
    """A Hub, and the token of one account. It changes only what the walk has made: a call that writes has to name it."""

    def __init__(self, endpoint, token, suffix):
        parts = urlsplit(endpoint)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
            raise Stopped(f"HF_ENDPOINT is {endpoint}: the token is sent over https only")
        self.endpoint, self.token = endpoint.rstrip("/"), token
        # What the walk made: the random part of its names, and the ids that the Hub gave.
        self.made = [suffix]
        self.responses, self.calls_left = [], MOST_CALLS
        self._open = urllib.request.build_opener(_Raw).open

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.call("POST", path, {} if body is None else body, **options)

    def call(self, method, path, body=None, token=None, headers=(), lines=False):
        """Makes a call. `token` replaces the account's own; `False` is a call without any. With `lines`, the body is JSON lines."""
        if self.calls_left <= 0:
            raise Stopped(f"the walk has made {len(self.responses)} calls, more than it should")
        data = None if body is None else _encode(body, lines)
        self._refuse_foreign(method, path, data)
        try:
            response = self._call(method, path, data, token, dict(headers), lines)
        except BROKEN:
            # Repeating a read is harmless.
            if method not in ("GET", "HEAD"):
                raise
            response = self._call(method, path, data, token, dict(headers), lines)
        if response.status == 429:
            seconds = _seconds_to_wait(response)
            print(f"The rate limit is reached. Waiting {seconds} s.", flush=True)
            time.sleep(seconds)
            response = self._call(method, path, data, token, dict(headers), lines)
            if response.status == 429:
                raise Stopped("the rate limit is still reached")
        return response

    def _refuse_foreign(self, method, path, data):
        text = path + (data or b"").decode()
        if method not in ("GET", "HEAD") and not any(made.casefold() in text.casefold() for made in self.made):
            raise Stopped(f"{method} {path} would change what the walk did not make")

    def _call(self, method, path, data, token, headers, lines):
        url = path if "://" in path else self.endpoint + path
        headers = {"User-Agent": "doorman-live", "Accept-Encoding": "identity"} | headers
        if data is not None:
            headers["Content-Type"] = "application/x-ndjson" if lines else "application/json"
        # The token goes to the Hub only, wherever a redirect leads.
        if token is not False and _origin(url) == _origin(self.endpoint):
            headers["Authorization"] = f"Bearer {token or self.token}"
        start = time.monotonic()
        request = urllib.request.Request(url, data, headers, method=method)
        with self._open(request, timeout=TIMEOUT_SECONDS) as answer:
            body = answer.read()
        response = Response(method, path, answer.status, answer.headers, body, time.monotonic() - start)
        self.responses.append(response)
        self.calls_left -= 1
        return response

    def follow(self, path, **options):
        """Makes a `GET`, and follows up to three redirects."""
        response = self.get(path, **options)
        for _ in range(3):
            if response.status not in (301, 302, 307, 308):
                break
            target = response.headers["Location"]
            response = self.get(target, **options)
        return response


def _encode(body, lines):
    if lines:
        return "".join(json.dumps(line) + "\n" for line in body).encode()
    return json.dumps(body).encode()


def _origin(url):
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _seconds_to_wait(response):
    after, limit = response.headers.get("Retry-After", ""), response.limit()
    seconds = int(after) if after.isdigit() else limit.seconds if limit and not limit.left else 60
    return min(seconds, 300) + 1


def until(observe, is_wanted, seconds=15):
    """Observes again and again until it sees what is wanted, or the time is over. Returns what it saw last."""
    end = time.monotonic() + seconds
    while True:
        seen = observe()
        if is_wanted(seen) or time.monotonic() > end:
            return seen
        time.sleep(1)
