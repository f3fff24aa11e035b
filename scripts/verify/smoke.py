"""scripts/smoke.sh against whatever may answer: only a function that is right is well, what else may be is told apart,
and the secret is in no output, no argument and no environment."""

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

# With all that a shell, curl or a header could trip over.
SECRET = "sample-webhook-secret: $HOME \"\\%s'"
IGNORED = (200, '{"status":"ignored","reason":"the event is about no repo"}')
REFUSED = (401, "")

# By the first part of the path: what is answered if that secret is shown, if another is, and if none is.
ANSWERS = {
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

# What it says of them.
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


class Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        shown = self.headers.get("X-Webhook-Secret")
        answer = ANSWERS[self.path.strip("/")][0 if shown == SECRET else 2 if shown is None else 1]
        if answer is None:
            self.server.ended.wait(60)
            return
        status, body = answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@contextmanager
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as answering:
        answering.ended = threading.Event()
        threading.Thread(target=answering.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{answering.server_port}"
        finally:
            answering.ended.set()
            answering.shutdown()


def check():
    # In this order: what ends the server first ends whatever still waits for an answer.
    with ThreadPoolExecutor(len(ANSWERS)) as pool, server() as url:
        runs = {case: pool.submit(smoke, f"{url}/{case}/") for case in ANSWERS}
        check_that_nobody_sees_it(f"{url}/hang/")
        # Last, what takes 30 seconds.
        for case, done in runs.items():
            expect_said(f"answered as `{case}`", done.result(), case == "good", EXPECTED[case])
        check_calls(url)


def check_calls(url):
    """The ways to call it."""
    good = f"{url}/good/"
    expect_said("with a line for a secret", smoke(good, SECRET + "\n"), True, "ok: the function is up")
    expect_said("with the secret as an argument", smoke(good, "", SECRET), True, "ok: the function is up")
    expect_said("over plain HTTP", smoke("http://example.com/"), False, "does not begin with https://")
    expect_said("at another host in disguise", smoke("http://127.0.0.1:x@example.com/"), False, "does not begin with")
    expect_said("where there is no HTTPS", smoke(url.replace("http:", "https:")), False, "has no HTTPS")
    expect_said("without such a host", smoke("https://no-such-host.invalid/"), False, "there is no such host")
    expect_said("where nobody listens", smoke("http://127.0.0.1:9/"), False, "the host takes no connection")
    expect_said("with a secret of two lines", smoke(good, "", "one\ntwo"), False, "what is not printable")
    status, said = smoke(good, "")
    expect(status == 2 and "usage" in said, "without a secret it tells its usage", said)


def smoke(url, typed=SECRET, secret="-"):
    # Without this machine's environment, because through a proxy all would be answered otherwise.
    environment = {"PATH": os.environ["PATH"]}
    command = [tools.ROOT / "scripts" / "smoke.sh", url, secret]
    done = subprocess.run(command, env=environment, input=typed, capture_output=True, text=True, timeout=40)
    return done.returncode, done.stdout + done.stderr


def expect_said(what, result, is_well, words):
    status, said = result
    if SECRET in said:
        raise NotOk(f"smoke.sh {what}: the secret is in its output")
    expect(
        status == (0 if is_well else 1) and words in said,
        f"smoke.sh {what}: exit {status}, {words}",
        f"exit {status}, {said}",
    )


def check_that_nobody_sees_it(url):
    """While it waits for an answer, everybody on this machine may list its arguments."""
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
