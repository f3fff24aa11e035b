"""moto in place of AWS for `doorman deploy`, with the resources that moto lacks, and an `aws` command that can be interrupted.

moto knows neither URLs of functions nor schedules, alarms and settings of events, so `Kept` stands in for these resources. It does nothing,
except that it gives the function its URL, which is that of a small server. CloudFormation leaves `AWS::NoValue` out of the lists of a
template. moto does not, so `without_no_value` does it here.
"""

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
from checks import require
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.server import ThreadedMotoServer
from running import stop
from transformed import RESULT

# The file `INTERRUPTS` names calls that fail once. A call with `-` fails before it is made, and a call with `+` after it is made. Before a
# call with `^`, the command gets Ctrl-C, and has to end.
AWS = """#!/bin/sh
# Others can see the arguments, so a check looks for secrets in them.
printf '%s\\n' "$*" >>"$LOG"
name=$1:$2
interrupt() {
    grep -qx -- "$1$name" "$INTERRUPTS" || return 0
    sed -i "/^$1$name\\$/d" "$INTERRUPTS"
    echo "interrupted" >&2
    exit 130
}
if grep -qxF -- "^$name" "$INTERRUPTS"; then
    : >"$INTERRUPTS"
    kill -INT $PPID
    while kill -0 $PPID 2>/dev/null; do sleep 0.05; done
    exit 130
fi
interrupt -
"$PYTHON" -I -S "$COMMAND" call "$SOCKET" "$@" || exit $?
interrupt +
"""

COMMAND = Path(__file__).with_name("aws_command.py")


@contextmanager
def aws_command(path):
    """Keeps the `aws` command ready at the socket `path`."""
    process = subprocess.Popen([sys.executable, COMMAND, "serve", path])
    try:
        for _ in range(300):
            if path.exists():
                break
            require(process.poll() is None, "the `aws` command starts", process.returncode)
            time.sleep(0.05)
        yield
    finally:
        stop(process)


clean_json = parsing.clean_json


def without_no_value(value, resources):
    cleaned = clean_json(value, resources)
    return [item for item in cleaned if item is not None] if isinstance(cleaned, list) else cleaned


parsing.clean_json = without_no_value


class Kept(CloudFormationModel):
    """A resource that moto does not know."""

    # moto reads the name of the service from the module.
    __module__ = "moto.cloudformation.kept"
    # The URL of the function in each region.
    urls = {}

    def __init__(self, name, region):
        self.name, self.region = name, region

    @property
    def physical_resource_id(self):
        return self.name

    @staticmethod
    def cloudformation_name_type():
        return ""

    @staticmethod
    def cloudformation_type():
        return ""

    @classmethod
    def has_cfn_attr(cls, _):
        return True

    def get_cfn_attribute(self, name):
        return self.urls[self.region] if name == "FunctionUrl" else f"arn:aws:kept:::{self.name}"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, _, account_id, region_name, **__):
        return cls(resource_name, region_name)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, *_, **__):
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(cls, *_, **__):
        pass


MISSING = {resource["Type"] for resource in json.loads(RESULT.read_text())["Resources"].values()} - set(parsing.get_model_map())
parsing.get_model_map().update(dict.fromkeys(MISSING, Kept))


class Function(BaseHTTPRequestHandler):
    """Responds to webhooks as the function does. It accepts those with its secret, which AWS keeps. If it has none, it accepts all."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        secret = self.server.secret()
        is_right = secret is None or self.headers.get("X-Webhook-Secret") == secret
        body = b'{"status":"ignored"}' if is_right else b""
        self.send_response(200 if is_right else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Aws:
    """A region of an account of AWS, and the server of its function. All regions are one moto."""

    def __init__(self, region):
        self.region = region

    def __enter__(self):
        self.moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.moto.start()
        host, port = self.moto.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.function = ThreadingHTTPServer(("127.0.0.1", 0), Function)
        self.function.secret = lambda: self.kept()["webhook"]
        threading.Thread(target=self.function.serve_forever, daemon=True).start()
        self.function_url = f"http://127.0.0.1:{self.function.server_port}/"
        Kept.urls[self.region] = self.function_url
        return self

    def __exit__(self, *_):
        self.function.shutdown()
        self.function.server_close()
        self.moto.stop()

    def client(self, service):
        return boto3.client(service, endpoint_url=self.url, region_name=self.region)

    def kept(self):
        """What the secret holds."""
        return json.loads(self.client("secretsmanager").get_secret_value(SecretId="hub-doorman")["SecretString"])

    def environment(self):
        """The environment of the deployed function."""
        (function,) = self.client("lambda").list_functions()["Functions"]
        return function["Environment"]["Variables"]

    def state(self):
        """Everything that a deployment makes, without what differs between deployments."""
        secrets = self.client("secretsmanager").list_secrets()["SecretList"]
        s3, sns = self.client("s3"), self.client("sns")
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        buckets = [one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"].endswith(self.region)]
        state = {
            "secrets": [(one["Name"], sorted(self.kept()), sorted(tag["Key"] for tag in one["Tags"])) for one in secrets],
            "buckets": {name: self.bucket(s3, name) for name in buckets},
            "topics": [sorted(topic["TopicArn"] for topic in sns.list_topics()["Topics"])]
            + [(one["Protocol"], one["Endpoint"]) for one in sns.list_subscriptions()["Subscriptions"]],
            "stacks": [(one["StackName"], sorted_by(one["Parameters"], "ParameterKey"), one["Tags"]) for one in stacks],
            "functions": [one["Environment"] for one in self.client("lambda").list_functions()["Functions"]],
        }
        text = json.dumps(state, sort_keys=True).replace(self.region, "REGION")
        for secret in secrets:
            text = text.replace(secret["ARN"].replace(self.region, "REGION"), "SECRET")
        return json.loads(text)

    def bucket(self, s3, name):
        return {
            "objects": [one["Key"] for one in s3.list_objects_v2(Bucket=name).get("Contents", [])],
            "access": s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
            "tags": s3.get_bucket_tagging(Bucket=name)["TagSet"],
        }


def sorted_by(items, key):
    return sorted(items, key=lambda item: item[key])
