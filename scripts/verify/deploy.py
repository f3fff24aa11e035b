"""Runs `doorman deploy` with moto in place of AWS, and with the stand-in Hub: it deploys a function, changes it, and removes everything.

Neither Rust nor SAM is on the PATH. `deployed.py` says what moto cannot show.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import tools
from checks import expect, ok, require
from deployed import AWS, COMMAND, Aws, aws_command
from running import Hub

ADDRESS = "operators@example.org"
REPOS = ["acme/gated-model", "datasets/acme/gated-corpus"]

SETTINGS = f"""
repos = {json.dumps(REPOS)}
policy = "policy.toml"
push_to = "hf://datasets/acme/doorman/policy.toml"
alarms = "{ADDRESS}"
parameters = {{ SweepMinutes = 10 }}
"""

POLICY = """
[[rules]]
name = "staff"
then = "accept"
if = "user.domain == 'acme.com'"
"""

WITH_LIST = """
[lists]
members = { file = "members.txt" }

[[rules]]
name = "members"
then = "accept"
if = "user.name in lists.members"
"""

# Every call that changes something. The first one notes the webhook. It is also interrupted before it is made, when the webhook is there
# already.
CHANGES = ["secretsmanager:tag-resource", "secretsmanager:create-secret", "sns:create-topic", "sns:subscribe", "s3api:create-bucket"]
CHANGES += ["s3api:put-public-access-block", "s3api:put-bucket-tagging", "s3api:put-object", "cloudformation:create-stack"]
REMOVALS = ["secretsmanager:untag-resource", "cloudformation:delete-stack", "sns:delete-topic", "s3api:delete-objects", "s3api:delete-bucket"]
REMOVALS += ["secretsmanager:delete-secret"]


def check():
    with tempfile.TemporaryDirectory() as folder, aws_command(Path(folder) / "socket"), ThreadPoolExecutor(2) as pool:
        whole = pool.submit(check_story, Path(folder) / "whole")
        interrupted = pool.submit(check_interruptions, Path(folder) / "interrupted")
        seen = (whole.result(), interrupted.result())
    expect(seen[0] == seen[1], "after all interruptions, the state is that of one run", seen)


@contextmanager
def user_in(region, folder):
    with Hub() as hub, Aws(region) as aws:
        yield User(hub, aws, folder)


class User:
    """A user with an account of AWS and one of the Hub, in a folder with the settings and a program from a wheel."""

    def __init__(self, hub, aws, folder):
        self.hub, self.aws, self.folder = hub, aws, folder
        self.outputs, self.secrets = [], {hub.settings["HF_TOKEN"]}
        self.log, self.interrupts = folder / "log", folder / "interrupts"
        for name in ("bin", "share/hub-doorman", "aws"):
            (folder / name).mkdir(parents=True)
        self.log.touch(), self.interrupts.touch()
        wrapper = folder / "aws" / "aws"
        wrapper.write_text(AWS)
        wrapper.chmod(0o755)
        self.program = folder / "bin" / "doorman"
        shutil.copy(tools.TARGET / "debug" / "doorman", self.program)
        for architecture, machine in (("arm64", 0xB7), ("x86_64", 0x3E)):
            with zipfile.ZipFile(folder / "share/hub-doorman" / f"hub-doorman-lambda-{architecture}.zip", "w") as package:
                # `ZipInfo` has a fixed time, so the zip is the same for each user. The header of a program names the processor.
                header = b"\x7fELF".ljust(18, b"\0") + machine.to_bytes(2, "little")
                package.writestr(zipfile.ZipInfo("bootstrap"), header, zipfile.ZIP_DEFLATED)
        self.settings()
        self.write("policy.toml", POLICY)

    def settings(self, more="", parameters=""):
        settings = SETTINGS.replace(" }", f"{parameters} }}")
        self.write("doorman.toml", f'{more}region = "{self.aws.region}"\n{settings}')

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def run(self, *arguments, status=0, **added):
        # The environment of this machine must not have an influence.
        names = ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
        environment = {name: os.environ[name] for name in names} | {
            "PATH": f"{self.folder / 'aws'}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "AWS_ENDPOINT_URL": self.aws.url,
            "PYTHON": sys.executable,
            "COMMAND": str(COMMAND),
            "SOCKET": str(self.folder.parent / "socket"),
            "LOG": str(self.log),
            "INTERRUPTS": str(self.interrupts),
            "HF_ENDPOINT": self.hub.settings["HF_ENDPOINT"],
            "HF_TOKEN": self.hub.settings["HF_TOKEN"],
        }
        done = subprocess.run(
            [self.program, *arguments],
            cwd=self.folder,
            env=environment | added,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        wrote = done.stdout + done.stderr
        self.outputs.append(wrote)
        require(done.returncode == status, f"doorman {' '.join(arguments)} ends with {status}", f"{done.returncode}: {wrote}")
        return wrote

    def webhook_ids(self):
        return [one["id"] for one in self.read_webhooks()]

    def webhooks(self):
        """The webhooks of the Hub, without their ids."""
        webhooks = self.read_webhooks()
        for one in webhooks:
            one["watched"] = [f"{watched['type']} {watched['name']}" for watched in one["watched"]]
        return [{name: one[name] for name in ("url", "watched", "disabled", "hasSecret")} for one in webhooks]

    def read_webhooks(self):
        request = urllib.request.Request(f"{self.hub.settings['HF_ENDPOINT']}/api/settings/webhooks")
        request.add_header("Authorization", f"Bearer {self.hub.settings['HF_TOKEN']}")
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def state(self):
        return self.aws.state(), json.loads(json.dumps(self.webhooks()).replace(self.aws.function_url, "URL"))

    def expect_secrecy(self):
        """Neither the outputs nor the arguments of `aws` contain a secret. The outputs contain no address."""
        outputs, arguments = "".join(self.outputs), self.log.read_text()
        require(arguments.count("\n") > 20, "`aws` was called", arguments)
        seen = [secret[:4] for secret in self.secrets if secret in outputs + arguments]
        expect(not seen and ADDRESS not in outputs, "no secret is in the outputs and in the arguments of `aws`", seen)


def check_story(folder):
    with user_in("eu-central-1", folder) as user:
        nothing = user.state()
        check_that_it_asks(user, nothing)
        deployed = check_deployment(user)
        check_lists(user)
        check_mail(user)
        check_smoke_test(user)
        check_lost_secret(user)
        check_removal(user, nothing)
        user.expect_secrecy()
    return deployed


def check_that_it_asks(user, nothing):
    shown = user.run("deploy", "--dry-run")
    steps = [line.split("\t")[0] for line in shown.splitlines()[:8]]
    expected = ["policy", "secret", "alarms", "bucket", "code", "stack", "webhook", "smoke test"]
    expect(steps == expected and user.state() == nothing, "--dry-run shows eight steps and changes nothing", shown)
    expect(shown.count("\tmissing\t") == 6, "--dry-run says that nothing exists", shown)
    shown = user.run("deploy", "--dry-run", "--zip", "share/hub-doorman/hub-doorman-lambda-x86_64.zip", status=2)
    expect("the program in it is for x86_64" in shown, "a zip for another processor is refused", shown)
    settings = (user.folder / "doorman.toml").read_text()
    user.write("doorman.toml", settings.replace("acme/gated-model", "acme/nothing"))
    shown = user.run("deploy", "--yes", status=2)
    expect("acme/nothing: " in shown, "a repo that does not exist is refused", shown)
    user.write("doorman.toml", settings.replace("datasets/acme/doorman", "datasets/others/doorman"))
    user.write("policy.toml", WITH_LIST)
    user.write("members.txt", "ada\n")
    shown = user.run("deploy", "--yes", status=2)
    expect("`others` is neither the account of HF_TOKEN" in shown, "a place of others for the policy is refused", shown)
    user.write("doorman.toml", settings)
    user.write("policy.toml", POLICY)
    user.run("deploy", "--yes", DRY_RUN="true")
    require(user.state() == nothing, "with DRY_RUN nothing is changed", user.state())
    shown = user.run("deploy", status=2)
    require("give --yes" in shown and user.state() == nothing, "without a terminal and --yes nothing is changed", shown)
    user.interrupts.write_text("^secretsmanager:create-secret\n")
    shown = user.run("deploy", "--yes", status=130)
    passes = shown.endswith("interrupted in the step `secret`. Each step can be repeated: run the same command again, and it goes on from here.\n")
    expect(passes and user.state() == nothing, "the message after Ctrl-C names the step, and says that it can be repeated", shown)


def check_deployment(user):
    shown = user.run("deploy", "--yes")
    lines = [f"doorman check --function hub-doorman --region {user.aws.region}", "doorman deploy"]
    require(set(lines) <= set(shown.splitlines()), "each next command is a line of its own", shown)
    user.secrets.add(user.aws.kept()["webhook"])
    first = user.state()
    check_deployed(user, first)
    shown = user.run("deploy", "--dry-run")
    seen = (shown.count("\texists\t"), shown.count("; what is so already stays"))
    expect(seen == (6, 4), "--dry-run says what exists and stays", shown)
    again = user.run("deploy", "--yes")
    expect(user.state() == first and user.aws.kept()["webhook"] in user.secrets, "deployed again, the state is the same", again)

    check_function(user)
    user.settings("dry_run = false\n")
    shown = user.run("deploy", "--dry-run")
    passes = "CHANGES: DryRun is `true` now and becomes `false`" in shown and "ANOTHER DEPLOYMENT" not in shown
    expect(passes, "--dry-run says what an update changes", shown)
    settings = (user.folder / "doorman.toml").read_text()
    user.write("silent.toml", re.sub("(?m)^alarms = .*$", "", settings))
    shown = user.run("deploy", "--dry-run", "--settings", "silent.toml")
    expect("nobody gets alarms any more" in shown, "--dry-run says that the alarms end", shown)
    user.write("other.toml", settings.replace(json.dumps(REPOS), '["acme/quiet-model"]'))
    shown = user.run("deploy", "--dry-run", "--settings", "other.toml")
    expect("THIS REPLACES ANOTHER DEPLOYMENT" in shown, "--dry-run says that a stack decides other repos", shown)
    before = user.state()
    for what in ("--yes", "--destroy --yes"):
        shown = user.run("deploy", *what.split(), "--settings", "other.toml", status=2)
        passes = "it is another deployment" in shown and user.state() == before
        expect(passes, f"deploy {what} leaves the deployment of other repos as it is", shown)
    user.run("deploy", "--yes")
    require(user.aws.environment()["DRY_RUN"] == "false", "dry_run = false is deployed", user.aws.environment())
    return first


def check_function(user):
    """`check --function` reads the configuration of the deployed function, and the metric of its last sweep."""
    functions = user.aws.client("lambda")
    (function,) = functions.list_functions()["Functions"]
    name, variables = function["FunctionName"], function["Environment"]["Variables"]
    # Without this variable, the check would call the real Hub.
    stand_in = variables | {"HF_ENDPOINT": user.hub.settings["HF_ENDPOINT"]}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": stand_in})
    shown = user.run("check", "--function", "hub-dorman", status=1)
    require("hub-dorman: there is no function and no stack of this name" in shown, "an unknown name is refused", shown)
    # The region is that of doorman.toml.
    check = ("check", "--function", "hub-doorman")
    shown = user.run("check", "--function", REPOS="of/the-shell", HF_TOKEN="hf_of_the_shell")
    seen = f"passed\tfunction {name}\t" in shown and "passed\tsweeps\tnone has finished yet; the function was deployed" in shown
    require(seen, "check --function checks the deployment of doorman.toml, and passes before its first sweep", shown)
    dimensions = [{"Name": "FunctionName", "Value": name}]
    metric = {"MetricName": "SweepFinished", "Dimensions": dimensions, "Value": 1}
    user.aws.client("cloudwatch").put_metric_data(Namespace="HubDoorman", MetricData=[metric])
    shown = user.run(*check, REPOS="of/the-shell", HF_TOKEN="hf_of_the_shell")
    seen = all(text in shown for text in ("passed\tsweeps\tthe last one finished", f"passed\t{REPOS[0]}\t"))
    expect(seen and "of/the-shell" not in shown, "check --function checks the deployed function, and sees its last sweep", shown)
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})


def check_deployed(user, state):
    aws, webhooks = state
    environment, arn = user.aws.environment(), "SECRET"
    require(user.aws.kept()["token"] == user.hub.settings["HF_TOKEN"], "AWS keeps the token", "another")
    policy = json.loads(environment["APPROVAL_POLICY"])
    require(policy["rules"][0]["name"] == "staff", "a short policy is in the configuration", policy)
    seen = (environment["REPOS"], environment["DRY_RUN"], aws["functions"][0]["Variables"]["HF_TOKEN"])
    expect(seen == (" ".join(REPOS), "true", f"{arn}#token"), "the function has its settings, and the ARN of the token", seen)
    (bucket,) = aws["buckets"].values()
    require(all(bucket["access"].values()) and len(bucket["objects"]) == 1, "the bucket is private and has the code", bucket)
    require(["email", ADDRESS] in aws["topics"], "the address is subscribed to the alarms", aws["topics"])
    watched = ["model acme/gated-model", "dataset acme/gated-corpus"]
    seen = [(one["url"], one["watched"], one["disabled"], one["hasSecret"]) for one in webhooks]
    expect(seen == [("URL", watched, False, True)], "one webhook watches the repos, with a secret", seen)


def check_lists(user):
    """A policy with lists goes to the Hub, and the webhook watches it there."""
    user.write("policy.toml", WITH_LIST)
    user.write("members.txt", "ada\n")
    user.run("deploy", "--yes")
    place = user.aws.environment()["APPROVAL_POLICY"]
    (webhook,) = user.webhooks()
    is_watched = "dataset acme/doorman" in webhook["watched"]
    expect(place == "hf://datasets/acme/doorman/policy.toml" and is_watched, "a policy with lists is pushed and watched", webhook)
    user.write("policy.cases.json", '{"repo": "acme/gated-model", "cases": [{"name": "x", "user": {"name": "ada"}, "verdict": "reject"}]}')
    before = user.state()
    user.run("deploy", "--yes", status=1)
    (user.folder / "policy.cases.json").unlink()
    require(user.state() == before, "a policy that fails its cases is not deployed", user.state())


def check_mail(user):
    """The stack's own set of rules becomes active only while no other one is. CloudFormation in moto makes no set, so it is made here."""
    ses = user.aws.client("ses")

    def active():
        return ses.describe_active_receipt_rule_set().get("Metadata", {}).get("Name")

    def deployed():
        (stack,) = user.aws.client("cloudformation").describe_stacks()["Stacks"]
        values = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
        return active(), values["MailRuleSet"], values["MailSecret"].endswith("#mail")

    for name in ("hub-doorman", "of-others"):
        ses.create_receipt_rule_set(RuleSetName=name)
    with_mail = ', MailDomain = "doorman.acme.com"'
    user.settings("dry_run = false\n", with_mail)
    shown = user.run("deploy", "--yes")
    user.secrets.add(user.aws.kept()["mail"])
    require("MX 10 inbound-smtp" in shown and "doorman notify on --domain doorman.acme.com" in shown, "the next steps are named", shown)
    expect(deployed() == ("hub-doorman", "", True), "without an active set of rules, that of the stack becomes active", deployed())
    require("unchanged" in user.run("deploy", "--yes"), "deployed again, it stays", deployed())
    ses.set_active_receipt_rule_set(RuleSetName="of-others")
    user.run("deploy", "--yes")
    expect(deployed() == ("of-others", "of-others", True), "the rule joins a set that is active", deployed())
    ses.set_active_receipt_rule_set(RuleSetName="hub-doorman")
    user.settings("dry_run = false\n")
    user.run("deploy", "--yes")
    expect(active() is None, "without mail, the stack's set is not active", active())
    user.settings("dry_run = false\n", with_mail)
    user.run("deploy", "--yes")


def check_smoke_test(user):
    right = user.aws.function.secret
    cases = [(lambda: "another secret", "smoke test: a webhook with the secret: 401"), (lambda: None, "THE DOOR IS OPEN")]
    for secret, expected in cases:
        user.aws.function.secret = secret
        shown = user.run("deploy", "--yes", status=1)
        expect(expected in shown, f"the smoke test says: {expected}", shown)
    user.aws.function.secret = right


def check_lost_secret(user):
    """If a new secret is made, a new webhook is made too, because the earlier webhook has the earlier secret."""
    before = user.webhook_ids()
    user.aws.client("secretsmanager").delete_secret(SecretId="hub-doorman", ForceDeleteWithoutRecovery=True)
    user.run("deploy", "--yes")
    user.secrets.add(user.aws.kept()["webhook"])
    after = user.webhook_ids()
    expect(len(after) == 1 and after != before, "a new secret gets a new webhook", (before, after))


def check_removal(user, nothing):
    shown = user.run("deploy", "--destroy", "--dry-run")
    require(len(user.webhooks()) == 1, "--destroy --dry-run removes nothing", shown)
    user.run("deploy", "--destroy", "--yes")
    require("Metadata" not in user.aws.client("ses").describe_active_receipt_rule_set(), "no set of rules is active", "one is")
    expect(user.state() == nothing, "--destroy leaves nothing", user.state())
    shown = user.run("deploy", "--destroy", "--yes")
    expect("There is nothing to remove" in shown, "--destroy can be repeated", shown)


def check_interruptions(folder):
    """Each call that changes something is carried out once without its response, and the next run goes on."""
    # In this region, buckets have no location.
    with user_in("us-east-1", folder) as user:
        nothing = user.state()
        deployed = check_interrupted_deployment(user)
        user.interrupts.write_text("".join(f"+{removal}\n" for removal in REMOVALS))
        runs = interrupted_runs(user, "deploy", "--destroy", "--yes")
        expect(user.state() == nothing, f"after {runs} interruptions, --destroy leaves nothing", user.state())
        user.expect_secrecy()
        expect("describe-active-receipt-rule-set" not in user.log.read_text(), "without mail, SES is not asked", "it is")
    return deployed


def check_interrupted_deployment(user):
    user.interrupts.write_text("".join(f"+{change}\n" for change in CHANGES) + f"-{CHANGES[0]}\n")
    runs = interrupted_runs(user, "deploy", "--yes")
    user.secrets.add(user.aws.kept()["webhook"])
    ok(f"after {runs} interruptions, the deployment is complete")
    return user.state()


def interrupted_runs(user, *arguments):
    """Runs the command until no call is left to interrupt, and once more. Returns the number of the interrupted runs."""
    runs = 0
    while left := user.interrupts.read_text():
        shown = user.run(*arguments, status=1)
        require(user.interrupts.read_text() != left and "it goes on from here" in shown, "a call is interrupted", shown)
        runs += 1
    user.run(*arguments)
    return runs
