"""What the documents say can be done and seen is so.

Commands that need an account are run against moto, but for those that build or ask. Queries may name only fields that
the function wrote, and the threat model only tests that there are.
"""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import boto3
from checks import NotOk, expect, ok
from moto.server import ThreadedMotoServer
from running import FIELDS
from secrets_of_aws import anything_goes
from tools import ROOT

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Words of a query that name no field. What it names itself stands behind `as`.
WORDS = set("filter display stats sort and or as by asc desc latest count ispresent datefloor in like".split())


def check():
    with anything_goes():
        check_commands((ROOT / "README.md").read_text())
    for name in ("README.md", "docs/operations.md"):
        check_queries(name)
    check_tests()


def check_commands(text):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = os.environ | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        with tempfile.TemporaryDirectory() as directory:
            # All of the project but the settings of whoever runs this, for there the commands write some.
            for path in ROOT.iterdir():
                if path.suffix != ".env":
                    (Path(directory) / path.name).symlink_to(path)
            secret = None
            for block in (block for kind, block in BLOCK.findall(text) if kind == "sh" and is_to_be_run(block)):
                # The ARN that a reader is to fill in is the one that was printed before.
                block = re.sub(r"^cargo lambda build .*\n", "", block.replace("arn:…", secret or ""), flags=re.MULTILINE)
                printed = run(block, directory, environment)
                secret = printed.strip() if "create-secret" in block else secret
        check_what_there_is(environment["AWS_ENDPOINT_URL"])
    finally:
        server.stop()


def is_to_be_run(block):
    return any(part in block for part in ("aws ", "doorman.env", "cargo lambda deploy")) and "smoke.sh" not in block


def run(block, directory, environment):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        # What a reader types who is asked for the token.
        input="hf_typed\n",
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotOk(f"README.md: {block}: exit {done.returncode}: {done.stdout}{done.stderr}")
    first = block.splitlines()[0]
    ok(f"README.md: {first[:90]}{'…' if len(block) > 91 else ''}")
    return done.stdout


def check_what_there_is(url):
    """After all of that: a function with its URL, settings, log and schedule."""
    client = lambda name: boto3.client(name, endpoint_url=url)
    function = client("lambda").get_function(FunctionName="hub-doorman")["Configuration"]
    settings = function["Environment"]["Variables"]
    policy = json.loads((ROOT / "examples" / "policy.json").read_text())
    expect(json.loads(settings["APPROVAL_POLICY"]) == policy, "the policy is deployed as it is in the file", settings)
    seen = (function["MemorySize"], function["Timeout"])
    expect(seen == (128, 300), "memory and timeout are those of Cargo.toml", seen)
    allowed = json.loads(client("lambda").get_policy(FunctionName="hub-doorman")["Policy"])["Statement"]
    actions = sorted(statement["Action"] for statement in allowed if statement["Principal"] == "*")
    expect(actions == ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"], "everybody may call the URL", allowed)
    (group,) = client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/hub-doorman")["logGroups"]
    expect(group["retentionInDays"] == 90, "the log is kept for 90 days", group)
    target = client("scheduler").get_schedule(Name="hub-doorman")["Target"]
    seen = (target["Arn"], target["RetryPolicy"]["MaximumEventAgeInSeconds"])
    expect(seen == (function["FunctionArn"].removesuffix(":1"), 300), "the schedule invokes the function", target)
    role = client("iam").get_role_policy(RoleName=target["RoleArn"].rsplit("/", 1)[1], PolicyName="invoke")
    expect(role["PolicyDocument"]["Statement"]["Resource"] == target["Arn"], "and its role may", role)
    role = client("iam").get_role_policy(RoleName=function["Role"].rsplit("/", 1)[1], PolicyName="secrets")
    arn = role["PolicyDocument"]["Statement"]["Resource"]
    expect(":secret:hub-doorman-" in arn, "the function may read the secret", role)


def check_queries(name):
    text = (ROOT / name).read_text()
    blocks = [block for kind, block in BLOCK.findall(text) if block.startswith("filter ")]
    queries = blocks + re.findall(r"`(filter [^`]+)`", text)
    for query in queries:
        own = set(re.findall(r"\bas (\w+)", query))
        bare = re.sub(r'"[^"]*"|/[^/]*/|\b\d+\w\b|@\w+|\bbin\(\w+\)', " ", query)
        unknown = set(re.findall(r"[A-Za-z_]\w*", bare)) - WORDS - own - FIELDS
        if unknown:
            raise NotOk(f"{name}: no line has the field {', '.join(sorted(unknown))}: {query}")
    expect(queries, f"{name}: the function writes all fields that {len(queries)} queries name", "there are none")


def check_tests():
    named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+){3,})`", (ROOT / "docs" / "threat-model.md").read_text()))
    sources = [path.read_text() for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.rs")]
    missing = {name for name in named if not any(f"fn {name}(" in source for source in sources)}
    expect(named and not missing, f"docs/threat-model.md: all {len(named)} tests that it names are there", missing)
