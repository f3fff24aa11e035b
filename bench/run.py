#!/usr/bin/env python3
"""Builds everything, runs it side by side against the stand-in Hub, and prints tables of ratios.

    python3 bench/run.py           everything; one row alone takes twenty minutes of the half hour
    python3 bench/run.py --quick   without the measurements that take more than a minute each
    python3 bench/run.py desk …    some parts; their names are at the end of this file

Needs cargo and Python with pip. huggingface_hub and awslambdaric are installed into a virtual environment in cargo's target
directory: target/, or CARGO_TARGET_DIR if it is set.
"""

import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
# A relative CARGO_TARGET_DIR is relative to the directory in which cargo runs, which is ROOT.
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
VENV = TARGET / "bench-venv"
PYTHON = str(VENV / "bin" / "python")
TOKEN = "hf_StandInTokenThatMustNeverBeSeen"
QUICK = "--quick" in sys.argv[1:]
NAMED = [argument for argument in sys.argv[1:] if argument != "--quick"]


def run(*command, **options):
    return subprocess.run(command, check=True, cwd=ROOT, **options)


def build():
    """Builds the function and the command line as they are released, and the programs of this benchmark. Returns their paths by name."""
    run("cargo", "build", "--release", "--bin", "hub-doorman", "--bin", "doorman")
    output = run("cargo", "build", "--release", "--benches", "--message-format=json", stdout=subprocess.PIPE).stdout
    built = [json.loads(line) for line in output.splitlines()]
    programs = {b["target"]["name"]: b["executable"] for b in built if b.get("executable") and "bench" in b["target"]["kind"]}
    if not Path(PYTHON).exists():
        run(sys.executable, "-m", "venv", str(VENV))
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "huggingface_hub", "awslambdaric")
    return {**programs, **{name: str(TARGET / "release" / name) for name in ("hub-doorman", "doorman")}}


@contextmanager
def serve(*arguments):
    """Runs a stand-in in a process of its own. Yields the line that it prints."""
    process = subprocess.Popen([PROGRAMS["main"], *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@contextmanager
def stand_in(latency, requests, verdicts, repos=0):
    """Runs a stand-in Hub. Yields the environment for its clients."""
    with serve("hub", str(latency), str(requests), verdicts, str(repos)) as address:
        yield {**os.environ, "HF_ENDPOINT": address, "HF_TOKEN": TOKEN}


def measure(command, environment):
    """Returns the JSON in the last line of a program's standard error, with the seconds of processor time as `cpu`."""
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    output = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed: {output}")
    return json.loads(output.splitlines()[-1]) | {"cpu": usage.ru_utime + usage.ru_stime}


def table(title, head, rows):
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    sys.stdout.flush()


def backlog():
    clients = {
        "Hub Doorman": [PROGRAMS["main"], "review"],
        "huggingface_hub, 8 threads": [PYTHON, "bench/client.py", "8"],
        "huggingface_hub": [PYTHON, "bench/client.py", "1"],
    }
    rows = []
    for latency in (110, 0):
        for pending in (1, 100, 1_000, 10_000):
            rounds = 5 if pending * latency < 200_000 else 3
            seconds = {name: [] for name in ("bound", *clients)}
            for number in range(rounds):
                for name, command in {"bound": [PROGRAMS["main"], "bound"], **clients}.items():
                    # A run of Python that takes longer than 10 s is precise enough without a repetition.
                    expected = pending * latency / 1000 / (8 if "8" in name else 1)
                    if "huggingface" in name and (expected > 10 and number > 0 or expected > 60 and QUICK):
                        continue
                    with stand_in(latency, pending, "mixed") as environment:
                        result = measure(command, environment)
                        seconds[name].append(result["seconds"])
                    if name == "Hub Doorman":
                        report = result["report"]
                        assert report["complete"] and report["listed"] == pending, report
            medians = {name: statistics.median(times) for name, times in seconds.items() if times}
            ratio = lambda name: f"{medians[name] / medians['bound']:,.2f}" if name in medians else "not run"
            rows.append([f"{latency} ms", f"{pending:,}", f"{medians['bound'] * 1000:,.0f} ms", str(report["calls"]), *map(ratio, clients)])
    table("Time to decide everybody, as a multiple of the bound", ["a call", "pending", "bound", "our calls", *clients], rows)


def sweep():
    rows = []
    for repos in (1, 50, 200, 1_000):
        bounds, sweeps = [], []
        for _ in range(5):
            with stand_in(110, 0, "hold", repos) as environment:
                bounds.append(measure([PROGRAMS["main"], "sweep-bound", str(repos)], environment)["seconds"])
                result = measure([PROGRAMS["main"], "sweep"], environment)
                sweeps.append(result["seconds"])
            assert result["status"] == "reviewed" and result["repos"] == repos, result
        bound, swept = statistics.median(bounds), statistics.median(sweeps)
        rows.append(["110 ms", f"{repos:,}", f"{bound * 1000:,.0f} ms", f"{swept / bound:.2f}", f"{result['peak_mb']:.0f} MB"])
    table("A sweep over a namespace in which nobody waits, as a multiple of the bound", ["a call", "repos", "bound", "Hub Doorman", "peak"], rows)


def memory_and_processor():
    rows, pending = [], 1_000_000
    for verdict in ("accept", "hold"):
        with stand_in(0, pending, verdict) as environment:
            result = measure([PROGRAMS["main"], "review"], environment)
        assert result["report"]["complete"] and result["report"]["listed"] == pending, result
        rows.append([f"{pending:,}", f"all {verdict}", f"{result['peak_mb']:.0f} MB", f"{result['cpu'] / pending * 1e6:.1f} µs"])
    table("Peak memory, and the processor's time a request (all of it: start, network, reading, deciding, writing, logging)", ["pending", "verdicts", "peak", "processor"], rows)
    result = measure([PROGRAMS["main"], "decide", "200"], os.environ)
    print(f"\nThe decision alone, four rules: {result['decide_us']:.1f} µs")
    ratio, read = result["large_us"] / result["decide_us"], result["read_ms"]
    print(f"With 20 rules, 5 patterns and a list of 100,000 entries: {ratio:.1f} times that; reading the policy takes {read:.0f} ms; peak {result['peak_mb']:.0f} MB")


def warm_webhook():
    results = []
    for _ in range(5):
        with stand_in(0, 1, "accept", 2_000) as environment:
            results.append(measure([PROGRAMS["main"], "webhook", "1000"], environment))
    ratio = statistics.median(result["ours_us"] / result["bare_us"] for result in results)
    print(f"\nA warm webhook with one person pending at 0 ms: {ratio:.2f} times the two bare HTTP calls that it takes")


def comparison():
    """dudect takes an absolute t above 4.5 for a real difference. Its size in nanoseconds is beside it."""
    result = measure([PROGRAMS["secret"]], os.environ)
    rows = [
        [ours["kind"], f"{ours['t']:.1f}", f"{ours['ns']:+.2f} ns", f"{naive['t']:.1f}", f"{naive['ns']:+.2f} ns"]
        for ours, naive in zip(result["ours"], result["naive"])
    ]
    title = f"Comparing a secret ({result['ours'][0]['mean_ns']:.0f} ns): Welch's t, and the difference, to one with no byte right"
    table(title, ["what is shown", "ours", "", "`==`", ""], rows)


def event(secret):
    """The event of a Function URL for a webhook with this secret."""
    sample = json.loads((ROOT / "events" / "discussion-opened.json").read_text())
    sample["headers"]["x-webhook-secret"] = secret
    payload = {"event": {"action": "create", "scope": "discussion"}, "repo": {"type": "model", "name": "acme/model"}}
    sample["body"], sample["isBase64Encoded"] = json.dumps(payload), False
    return json.dumps(sample).encode()


def start(command, environment, body, folder=ROOT / "bench"):
    """Runs a function with a Runtime API that hands it one event.

    Returns the seconds from its start to the request for the event and to the response, and the resident memory in MB at the
    time of that request.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        api = f"127.0.0.1:{listener.getsockname()[1]}"
        begun = perf_counter()
        process = subprocess.Popen(
            command, env={**environment, "AWS_LAMBDA_RUNTIME_API": api}, cwd=folder, stdout=subprocess.DEVNULL
        )
        requested = None
        received = {}
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connection = listener.accept()[0]
                    selector.register(connection, selectors.EVENT_READ)
                    received[connection] = b""
                    continue
                connection = key.fileobj
                data = connection.recv(65536)
                now = perf_counter()
                if not data:
                    selector.unregister(connection)
                    continue
                received[connection] += data
                if b"/invocation/next" in received[connection] and requested is None:
                    requested = now - begun
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
                    received[connection] = b""
                    head = (
                        f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\n"
                        "Lambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: 99999999999999\r\n"
                        "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:123456789012:function:f\r\n\r\n"
                    )
                    connection.sendall(head.encode() + body)
                elif b"/init/error" in received[connection]:
                    process.kill()
                    sys.exit(f"{command[0]} cannot start: {received[connection].decode(errors='replace')}")
                elif b"/response" in received[connection]:
                    responded = now - begun
                    process.kill()
                    process.wait()
                    for open_connection in received:
                        open_connection.close()
                    return requested, responded, resident


def cold_start():
    secret = "a-secret"
    lambda_variables = {
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "WEBHOOK_SECRET": secret,
        "APPROVAL_POLICY": (ROOT / "examples" / "policy.json").read_text(),
    }
    large = measure([PROGRAMS["main"], "large"], os.environ)
    with stand_in(0, 1, "accept") as environment, serve("aws", secret) as kept, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "signed.txt").write_text(large["list"])
        with_large = "Hub Doorman, 20 rules and a list of 100,000"
        address, token, webhook = kept.split()
        stored = {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        functions = {
            "bare lambda_http": ([PROGRAMS["bare"]], {}),
            "Hub Doorman": ([PROGRAMS["hub-doorman"]], {}),
            "Hub Doorman, AWS keeps its secrets": ([PROGRAMS["hub-doorman"]], {**stored, "HF_TOKEN": token, "WEBHOOK_SECRET": webhook}),
            with_large: ([PROGRAMS["hub-doorman"]], {"APPROVAL_POLICY": large["policy"]}),
            "Python, huggingface_hub": ([PYTHON, "-m", "awslambdaric", "client.handler"], {}),
        }
        results = {name: [] for name in functions}
        back_to_pending = json.dumps({"userId": "id-user0", "status": "pending"}).encode()
        handle = f"{environment['HF_ENDPOINT']}/api/models/acme/model/user-access-request/handle"
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        for _ in range(31):
            for name, (command, variables) in functions.items():
                where = {"folder": folder} if name == with_large else {}
                results[name].append(start(command, {**environment, **lambda_variables, **variables}, event(secret), **where))
                if name != "bare lambda_http":
                    # Puts the request back to pending for the next function. Fails if this one has not accepted it.
                    urllib.request.urlopen(urllib.request.Request(handle, back_to_pending, headers)).close()
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
    requested, responded, _ = medians["bare lambda_http"]
    rows = [
        [name, f"{m[0] * 1000:.1f} ms", f"{m[0] / requested:.2f}", f"{m[1] * 1000:.1f} ms", f"{m[1] / responded:.2f}", f"{m[2]:.1f} MB"]
        for name, m in medians.items()
    ]
    table(
        "Cold start (the bare function responds without doing anything)",
        ["", "start to first event", "ratio", "start to first response", "ratio", "resident"],
        rows,
    )


def get(url, headers):
    """Reads a response to its end. Returns it and its body."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
        return response, response.read()


def read_list(environment):
    """Returns the seconds in which a plain client reads the pages of the list, and does nothing with them."""
    begun = perf_counter()
    url = f"{environment['HF_ENDPOINT']}/api/models/acme/model/user-access-request/pending?limit=1000"
    while url:
        response, body = get(url, {"Authorization": f"Bearer {TOKEN}"})
        assert body.startswith(b"[{"), body[:100]
        link = response.headers["Link"]
        url = link and link.split("<")[1].split(">")[0]
    return perf_counter() - begun


def open_desk(environment, pending):
    """Returns the seconds from the start of the desk to its first page, for that page, to a page that knows of everybody, and for one
    more page, and the peak memory in MB."""
    begun = perf_counter()
    command = [PROGRAMS["doorman"], "desk", "--no-browser", "acme/model"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = process.stdout.readline().strip()
        response, _ = get(address, {})
        home, cookie = address.split("?")[0], {"Cookie": response.headers["Set-Cookie"].split(";")[0]}
        asked = perf_counter()
        _, page = get(home, cookie)
        first = perf_counter()
        while f"{pending:,} pending".encode() not in page or b"are being read" in page:
            _, page = get(home, cookie)
        complete = perf_counter()
        again = perf_counter()
        get(home, cookie)
        later = perf_counter() - again
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        return first - begun, first - asked, complete - begun, later, peak
    finally:
        process.kill()
        process.wait()


def desk():
    pending, results = 5_000, []
    for _ in range(5):
        with stand_in(0, pending, "hold") as environment:
            environment["APPROVAL_POLICY"] = (ROOT / "examples" / "policy.json").read_text()
            results.append([read_list(environment), *open_desk(environment, pending)])
    plain, started, first, complete, later, peak = (statistics.median(column) for column in zip(*results))
    times = {"the first page, from its request": first, "the first page, from the start": started, "everybody is known, from the start": complete, "a later page": later}
    rows = [[name, f"{seconds * 1000:,.0f} ms", f"{seconds / plain:.2f}"] for name, seconds in times.items()]
    title = f"The desk with {pending:,} held people, as a multiple of a plain read of their list ({plain * 1000:,.0f} ms); peak {peak:.0f} MB"
    table(title, ["", "time", "ratio"], rows)


PARTS = [comparison, cold_start, warm_webhook, desk, sweep, memory_and_processor, backlog]
names = [part.__name__ for part in PARTS]
if unknown := set(NAMED) - set(names):
    sys.exit(f"there is no part {', '.join(unknown)}; the parts are {', '.join(names)}")
PROGRAMS = build()
for part in PARTS:
    if not NAMED or part.__name__ in NAMED:
        part()
