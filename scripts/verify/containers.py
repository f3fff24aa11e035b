"""Runs the commands that docs/run-anywhere.md shows for Hugging Face Jobs, Kubernetes and Cloud Run, without these services.

The Hub's client checks the form of a Job, and the schema of Kubernetes that of a manifest. The schema of Cloud Run is not published, so its
containers are checked as those of Kubernetes. Each command runs against the stand-in Hub, with the variables of the document.
"""

import os
import shlex
import subprocess
import tempfile
import tomllib

import kubernetes_validate
import yaml
from checks import expect, require
from recipes import CLIENT
from running import Hub
from tools import ROOT, TARGET

POLICY = ROOT / "examples" / "policies" / "academic-addresses.toml"
DOORMAN = TARGET / "debug" / "doorman"
PLACE = "hf://datasets/acme/doorman/policy.toml"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]


def check():
    text = (ROOT / "docs" / "run-anywhere.md").read_text()
    blocks = lambda kind: [block.split("```")[0] for block in text.split(f"```{kind}\n")[1:]]
    documents = [yaml.safe_load(block) for block in blocks("yaml")]
    manifests = {document["apiVersion"]: document for document in documents if "apiVersion" in document}
    kubernetes = manifests["batch/v1"]
    validate(kubernetes)
    pod = kubernetes["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    check_container("Kubernetes", pod["containers"][0])
    task = manifests["run.googleapis.com/v1"]["spec"]["template"]["spec"]["template"]["spec"]
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task"}, "spec": {"containers": task["containers"]}})
    check_container("Cloud Run", task["containers"][0])
    commands = [line for block in blocks("sh") for line in block.replace("\\\n", "").splitlines() if line.startswith("hf jobs")]
    require(len(commands) == 2, "the document has two commands for Jobs", commands)
    for command in commands:
        check_job(shlex.split(command))


def validate(manifest):
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(manifest, version, strict=True)


def check_container(service, container):
    require(container["image"].endswith(f"/OWNER/hub-doorman:{VERSION}"), f"{service}: the image is that of the version", container)
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    check_command(service, container["command"] + container.get("args", []), variables)


def check_job(words):
    """The Hub's client resolves the command of a Job. It asks for the name of the user first."""
    with Hub() as hub:
        settings = {name: hub.settings[name] for name in ("HF_ENDPOINT", "HF_TOKEN")}
        position = words.index("run") + 1
        command = [CLIENT / "hf", *words[1:position], "--dry-run", *words[position:]]
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
        require(done.returncode == 0 and "not submitted" in done.stdout, "the client reads the command of a Job", done)
    variables = dict(word.split("=", 1) for option, word in zip(words, words[1:]) if option == "--env")
    tool, package, *arguments = words[words.index("uvx") :]
    require(package == f"hub-doorman=={VERSION}", "the Job installs this version", package)
    service = "Hugging Face Jobs, scheduled" if "scheduled" in words else "Hugging Face Jobs"
    check_command(service, ["doorman", *arguments], variables)


def check_command(service, command, variables):
    """The command reviews the stand-in's requests, with the variables of the manifest and the policy on the Hub."""
    with Hub() as hub, tempfile.TemporaryDirectory() as home:
        settings = {name: hub.settings[name] for name in ("HF_ENDPOINT", "HF_TOKEN")} | {"HOME": home}
        run(settings, "policy", "push", "--create", POLICY, PLACE)
        require(variables["APPROVAL_POLICY"] == PLACE, f"{service}: the policy is on the Hub", variables)
        require(command[0] == "doorman", f"{service}: the program is the doorman", command)
        output = run(settings | {name: value for name, value in variables.items() if value}, *command[1:])
        expect("\taccept" in output, f"{service}: the command reviews the gated repos", output)


def run(environment, *arguments):
    done = subprocess.run([DOORMAN, *arguments], env=environment, capture_output=True, text=True, timeout=60)
    require(done.returncode == 0, f"doorman {' '.join(map(str, arguments))}", f"{done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
