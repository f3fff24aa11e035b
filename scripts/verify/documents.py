"""Checks that everything that the documents show can be done and seen.

Commands that need an AWS account are run against moto, except those that build or ask. Queries may name only fields that
the function has written. Links, tests, recipes and commands of `doorman` have to exist.
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
from secrets_of_aws import without_permission_checks
from tools import ROOT, TARGET

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```$|`[^`]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# These words of a query are not fields. A name that a query defines follows `as`.
WORDS = set("filter display stats sort and or as by asc desc latest count sum ispresent datefloor in like".split())
# A README of this length takes two minutes to read.
MAX_README_LINES = 180
# Its commands deploy the function.
DEPLOYMENT = "docs/deploy-aws.md"


def check():
    documents = {name: (ROOT / name).read_text() for name in names()}
    check_readme(documents["README.md"])
    check_links(documents)
    check_names(documents)
    check_tests(documents["docs/threat-model.md"])
    with without_permission_checks():
        for name, text in documents.items():
            check_commands(name, text)
    for name, text in documents.items():
        check_queries(name, text)


def names():
    """The documents, as paths from the root."""
    patterns = ("*.md", "docs/*.md", "examples/**/*.md", "events/*.md")
    return sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern))


def check_readme(text):
    lines = text.splitlines()
    expect(len(lines) <= MAX_README_LINES, f"README.md has at most {MAX_README_LINES} lines", len(lines))
    missing = {"cargo run --example replay", "cargo test"} - set(lines)
    expect(not missing, "README.md shows the first two commands, each on a line of its own", missing)


def check_links(documents):
    """Each link within the project leads to a file, and to a heading of it if it names one."""
    headings = {name: anchors(text) for name, text in documents.items()}
    count = 0
    for name, text in documents.items():
        for target in LINK.findall(CODE.sub("`", text)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            found = ((ROOT / name).parent / path).resolve() if path else ROOT / name
            if not found.exists():
                raise NotOk(f"{name}: the link {target} leads to no file")
            if anchor and anchor not in headings.get(str(found.relative_to(ROOT)), ()):
                raise NotOk(f"{name}: the link {target} leads to no heading")
            count += 1
    expect(count, f"all {count} links in {len(documents)} documents lead somewhere", "there are none")


def anchors(text):
    """The anchors that GitHub makes of the headings."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 1
        while slug in found:
            slug = f"{slug.removesuffix(f'-{number - 1}')}-{number}"
            number += 1
        found.add(slug)
    return found


def check_names(documents):
    """The recipes and the commands of `doorman` that the documents name are there."""
    code = "\n".join(found for text in documents.values() for found in CODE.findall(text))
    recipes = set(re.findall(r"^([a-z]+)\b[^:\n]*:(?!=)", (ROOT / "justfile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bjust ([a-z]+)", code))
    expect(named <= recipes, f"all {len(named)} recipes that the documents name are there", named - recipes)
    done = subprocess.run([TARGET / "debug" / "doorman", "--help"], capture_output=True, text=True, check=True)
    commands = set(re.findall(r"^  ([a-z]+) ", done.stdout, re.MULTILINE))
    named = set(re.findall(r"(?<![\w/.-])(?<![Tt]he )doorman ([a-z]+)", code))
    expect(named <= commands, f"all {len(named)} commands of doorman that the documents name are there", named - commands)


def check_tests(text):
    named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+){3,})`", text))
    folders = ("src", "tests", "doorman/src", "doorman/tests")
    sources = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.rs")]
    missing = sorted(name for name in named if not any(f"fn {name}(" in source for source in sources))
    expect(named and not missing, f"docs/threat-model.md: all {len(named)} tests that it names are there", missing)


def check_commands(name, text):
    """The commands for AWS run one after the other, as a reader would run them."""
    blocks = [block for kind, block in BLOCK.findall(text) if kind == "sh" and is_to_be_run(block)]
    if name == DEPLOYMENT:
        expect(blocks, f"{name}: it has {len(blocks)} blocks of commands to run", "there are none")
    if not blocks:
        return
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = os.environ | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        with tempfile.TemporaryDirectory() as directory:
            # The whole project except files of settings: the commands write such a file.
            for path in ROOT.iterdir():
                if path.suffix != ".env":
                    (Path(directory) / path.name).symlink_to(path)
            secret = None
            for block in blocks:
                # The ARN that a reader has to fill in is the one that was printed before.
                block = re.sub(r"^cargo lambda build .*\n", "", block.replace("arn:…", secret or ""), flags=re.MULTILINE)
                printed = run(name, block, directory, environment)
                secret = printed.strip() if "create-secret" in block else secret
        if name == DEPLOYMENT:
            check_deployment(environment["AWS_ENDPOINT_URL"])
    finally:
        server.stop()


def is_to_be_run(block):
    return any(part in block for part in ("aws ", "doorman.env", "cargo lambda deploy")) and "smoke.sh" not in block


def run(name, block, directory, environment):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        # A reader types this when the command asks for the token.
        input="hf_typed\n",
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotOk(f"{name}: {block}: exit {done.returncode}: {done.stdout}{done.stderr}")
    first = block.splitlines()[0]
    ok(f"{name}: {first[:90]}{'…' if len(block) > 91 else ''}")
    return done.stdout


def check_deployment(url):
    """After all commands there is a function with its URL, settings, log and schedule."""
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


def check_queries(name, text):
    blocks = [block for kind, block in BLOCK.findall(text) if block.startswith("filter ")]
    queries = blocks + re.findall(r"`(filter [^`]+)`", text)
    for query in queries:
        own = set(re.findall(r"\bas (\w+)", query))
        bare = re.sub(r'"[^"]*"|/[^/]*/|\b\d+\w\b|@\w+|\bbin\(\w+\)', " ", query)
        unknown = set(re.findall(r"[A-Za-z_]\w*", bare)) - WORDS - own - FIELDS
        if unknown:
            raise NotOk(f"{name}: no line has the field {', '.join(sorted(unknown))}: {query}")
    if queries or name == "docs/operations.md":
        what = f"{name}: the function writes all fields that {len(queries)} queries name"
        expect(queries, what, "there are none")
