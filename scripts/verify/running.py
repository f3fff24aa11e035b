"""Processes that the checks run: the stand-in Hub, and the function that SAM built, under AWS's Runtime Interface Emulator."""

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import samcli
import tools
from checks import NotOk

EMULATOR = Path(samcli.__file__).parent / "local" / "rapid" / "aws-lambda-rie-x86_64"

# The log lines with metrics that all functions have written so far.
METRICS = []

# The names of the fields in all their log lines.
FIELDS = set()


def stop(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Hub:
    """The stand-in Hub, started with these arguments. `settings` has the environment variables of a function that uses it."""

    def __init__(self, *arguments):
        self.command = [tools.TARGET / "debug" / "examples" / "hub", *arguments]

    def __enter__(self):
        self.process, self.start = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True), time.monotonic()
        try:
            self.settings = self.read_settings()
        except BaseException:
            stop(self.process)
            raise
        return self

    def read_settings(self):
        settings = {}
        while "APPROVAL_POLICY" not in settings:
            line = self.process.stdout.readline()
            if not line:
                raise NotOk("the stand-in Hub ended early")
            name, value = line.rstrip("\n").split("=", 1)
            settings[name] = value
        policy = tools.ROOT / settings["APPROVAL_POLICY"].removeprefix("file:")
        settings["APPROVAL_POLICY"] = "".join(policy.read_text().splitlines())
        return settings

    def __exit__(self, *_):
        stop(self.process)

    def parameters(self, **others):
        """Returns the parameters of a stack whose function uses this Hub, with `others` added."""
        settings = self.settings
        return {
            "HfToken": settings["HF_TOKEN"],
            "WebhookSecret": settings["WEBHOOK_SECRET"],
            "ApprovalPolicy": settings["APPROVAL_POLICY"],
            "Repos": settings["REPOS"],
            "DryRun": "false",
        } | others


class Function:
    """A stack's function, with the environment of the template and the variables `added`.

    The emulator starts it at the first event. Its program is the one that SAM built, or another `program`.
    """

    def __init__(self, stack, hub, program=None, **added):
        self.program = program or tools.artifact()
        about = stack.properties("Doorman")
        self.environment = about["Environment"]["Variables"] | {"HF_ENDPOINT": hub.settings["HF_ENDPOINT"]} | added
        # This machine's environment is not passed on, because Lambda would not have it.
        self.set_by_lambda = {
            "AWS_LAMBDA_FUNCTION_NAME": stack.reference("Doorman"),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(about["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(about["Timeout"]),
        }

    def __enter__(self):
        self.port, api = free_ports(2)
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [EMULATOR, "--runtime-interface-emulator-address", f"127.0.0.1:{self.port}"]
            + ["--runtime-api-address", f"127.0.0.1:{api}", self.program],
            cwd=tools.WORK,
            env=self.set_by_lambda | self.environment,
            stdout=self.out,
            stderr=self.err,
        )
        try:
            self.wait_until_ready()
        except BaseException:
            stop(self.process)
            raise
        return self

    def wait_until_ready(self):
        for _ in range(100):
            if self.process.poll() is not None:
                raise NotOk(f"the emulator ended early: {text(self.err)}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise NotOk("the emulator is not ready after 10 seconds")

    def __exit__(self, kind, error, _):
        stop(self.process)
        METRICS.extend(self.metrics())
        log = self.log()
        for line in log.splitlines():
            if line.startswith("{"):
                FIELDS.update(json.loads(line))
        self.out.close()
        self.err.close()
        if kind is None:
            self.expect_no_secret(log)

    def expect_no_secret(self, log):
        names = ("HF_TOKEN", "WEBHOOK_SECRET", "MAIL_SECRET", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        for name in names:
            value = self.environment.get(name, "")
            if value and not value.startswith("arn:") and value in log:
                raise NotOk(f"the function wrote {name} into its log")

    def invoke(self, event):
        """Returns the emulator's status and the function's response. The status is 502 if the function cannot start."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(event))
        response = connection.getresponse()
        status, body = response.status, response.read()
        connection.close()
        try:
            return status, json.loads(body)
        except ValueError as error:
            raise NotOk(f"the emulator answered {status} {body!r}: {text(self.err)}") from error

    def log(self):
        return text(self.out)

    def metrics(self):
        """Returns the log lines with metrics so far, as text."""
        return [line for line in self.log().splitlines() if '"_aws"' in line]


def text(file):
    # Without seek, because the writing process shares the file position.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def sample(name):
    """Returns the sample event of this name."""
    return json.loads((tools.ROOT / "events" / f"{name}.json").read_text())


def webhook(secret):
    """Returns a webhook with this secret that starts no review."""
    event = sample("space")
    event["headers"]["x-webhook-secret"] = secret
    return event


def failed(result):
    """Whether the invocation failed, so that Lambda counts it in `Errors`."""
    status, body = result
    return status != 200 or "errorType" in body
