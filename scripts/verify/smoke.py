"""Runs scripts/smoke.sh against a correct function and against faulty servers.

Only the correct function passes, and each fault has its message. The secret is in no output, argument or environment.
"""

import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import tools
from checks import NotOk, expect

# It contains the special characters of a shell, of curl and of a header.
SECRET = "sample-webhook-secret: $HOME \"\\%s'"
IGNORED = (200, '{"status":"ignored","reason":"the event is about no repo"}')
REFUSED = (401, "")

# For each first part of the path: the responses to the right secret, to a wrong one, and to none.
RESPONSES = {
    "good": (IGNORED, REFUSED, REFUSED),
    "open": (IGNORED, IGNORED, IGNORED),
    "open-to-guesses": (IGNORED, IGNORED, REFUSED),
    "wrong-secret": (REFUSED, REFUSED, REFUSED),
    "forbidden": ((403, '{"Message":"Forbidden"}'),) * 3,
    "forbidden-later": (IGNORED, (403, '{"Message":"Forbidden"}'), (403, '{"Message":"Forbidden"}')),
    "gone": ((404, '{"Message":null}'),) * 3,
    "throttled": ((429, '{"Reason":"ConcurrentInvocationLimitExceeded"}'),) * 3,
    "broken": ((502, "Internal Server Error"),) * 3,
    "unavailable": ((503, ""),) * 3,
    "other": ((200, "<html>hello</html>"),) * 3,
    "echo": ((200, f"you sent {SECRET}"),) * 3,
    "moved": ((301, ""),) * 3,
    "hang": (None, None, None),
}

# Part of the message of smoke.sh in each case.
EXPECTED = {
    "good": "ok: the function is up",
    "open": "THE DOOR IS OPEN",
    "open-to-guesses": "THE DOOR IS OPEN",
    "wrong-secret": "the secret is wrong",
    "forbidden": "lambda:InvokeFunctionUrl",
    "forbidden-later": "without a secret: 403",
    "gone": "no function is at this URL",
    "throttled": "throttled",
    "broken": "the function cannot start",
    "unavailable": "Lambda is not available",
    "other": "this is not Hub Doorman",
    "echo": "you sent SECRET",
    "moved": "301: this is not what Hub Doorman answers",
    "hang": "no answer within 30 seconds",
}


class Responses(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        shown = self.headers.get("X-Webhook-Secret")
        response = RESPONSES[self.path.strip("/")][0 if shown == SECRET else 2 if shown is None else 1]
        if response is None:
            self.server.ended.wait(60)
            return
        status, body = response
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@contextmanager
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Responses) as server:
        server.ended = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.ended.set()
            server.shutdown()


def check():
    # The server ends before the pool, so that no run waits for a response any longer.
    with ThreadPoolExecutor(len(RESPONSES)) as pool, server() as url:
        runs = {case: pool.submit(smoke, f"{url}/{case}/") for case in RESPONSES}
        check_that_secret_is_hidden(f"{url}/hang/")
        # The last case takes 30 seconds.
        for case, done in runs.items():
            expect_result(f"with the server `{case}`", done.result(), case == "good", EXPECTED[case])
        check_calls(url)


def check_calls(url):
    """Checks the arguments of smoke.sh."""
    good = f"{url}/good/"
    expect_result("with a line end after the secret", smoke(good, SECRET + "\n"), True, "ok: the function is up")
    expect_result("with the secret as an argument", smoke(good, "", SECRET), True, "ok: the function is up")
    expect_result("with a URL of plain HTTP", smoke("http://example.com/"), False, "does not begin with https://")
    expect_result("with a URL that disguises another host", smoke("http://127.0.0.1:x@example.com/"), False, "does not begin with")
    expect_result("with a server without HTTPS", smoke(url.replace("http:", "https:")), False, "has no HTTPS")
    expect_result("with a host that does not exist", smoke("https://no-such-host.invalid/"), False, "there is no such host")
    expect_result("with a port where nothing listens", smoke("http://127.0.0.1:9/"), False, "the host takes no connection")
    expect_result("with a secret of two lines", smoke(good, "", "one\ntwo"), False, "a character that is not printable")
    status, output = smoke(good, "")
    expect(status == 2 and "usage" in output, "without a secret it prints its usage", output)


def smoke(url, typed=SECRET, secret="-"):
    # This machine's environment is not passed on, because it may name a proxy.
    environment = {"PATH": os.environ["PATH"]}
    command = [tools.ROOT / "scripts" / "smoke.sh", url, secret]
    done = subprocess.run(command, env=environment, input=typed, capture_output=True, text=True, timeout=40)
    return done.returncode, done.stdout + done.stderr


def expect_result(what, result, passes, words):
    status, output = result
    if SECRET in output:
        raise NotOk(f"smoke.sh {what}: the secret is in its output")
    expect(
        status == (0 if passes else 1) and words in output,
        f"smoke.sh {what}: exit {status}, {words}",
        f"exit {status}, {output}",
    )


def check_that_secret_is_hidden(url):
    """Checks the arguments and environments of the processes while smoke.sh waits for a response."""
    for _ in range(100):
        waiting = [process for process in Path("/proc").glob("[0-9]*") if url.encode() in read(process / "cmdline")]
        if any(read(process / "cmdline").startswith(b"curl") for process in waiting):
            break
        time.sleep(0.1)
    else:
        raise NotOk("smoke.sh: no curl was seen")
    seen = [process for process in waiting if SECRET.encode() in read(process / "cmdline") + read(process / "environ")]
    expect(not seen, f"smoke.sh: the secret is in no argument and no environment of {len(waiting)} processes", seen)


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
