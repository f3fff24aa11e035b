"""Runs the recipes of docs/recipes.md against the stand-in Hub: each one changes a list in a dataset.

The script of the form runs in Node, with a stand-in for the services of Google. The workflows' steps run without GitHub.
"""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

import yaml
from checks import expect, require
from running import Hub
from tools import ROOT, TARGET

CLIENT = TARGET / "hub-client" / "bin"

# Makes the dataset, or appends a line to its list.
CREATE = """
from huggingface_hub import HfApi
dataset = {"repo_id": "acme/doorman", "repo_type": "dataset"}
HfApi().create_repo(**dataset, private=True)
HfApi().upload_file(path_or_fileobj=b"Date,E-mail\\n", path_in_repo="signed.csv", **dataset)
"""
APPEND = """
from huggingface_hub import HfApi, hf_hub_download
dataset = {"repo_id": "acme/doorman", "repo_type": "dataset"}
text = open(hf_hub_download(filename="signed.csv", **dataset)).read() + "2026-11-26,other@epfl.ch\\n"
HfApi().upload_file(path_or_fileobj=text.encode(), path_in_repo="signed.csv", **dataset)
"""

# Apps Script's services are synchronous, so curl makes the calls.
GOOGLE = """
const { execFileSync } = require("child_process");
const PropertiesService = { getScriptProperties: () => ({ getProperty: (name) => process.env[name] }) };
const Utilities = { base64Encode: (text) => Buffer.from(text, "utf8").toString("base64"), Charset: {} };
let interrupts = process.env.INTERRUPT;
const UrlFetchApp = { fetch(url, { method = "get", contentType, payload, headers }) {
  const options = ["--silent", "--include", "--request", method.toUpperCase(), url];
  for (const [name, value] of Object.entries(headers)) options.push("--header", `${name}: ${value}`);
  if (payload) options.push("--header", `Content-Type: ${contentType}`, "--data-binary", payload);
  const [head, ...body] = execFileSync("curl", options, { encoding: "utf8" }).split("\\r\\n\\r\\n");
  const [status, ...lines] = head.split("\\r\\n");
  if (interrupts) { execFileSync("sh", ["-c", interrupts]); interrupts = ""; }
  return {
    getResponseCode: () => Number(status.split(" ")[1]), getContentText: () => body.join("\\r\\n\\r\\n"),
    getHeaders: () => Object.fromEntries(lines.map((line) => line.split(": "))),
  };
} };
"""


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", (ROOT / "docs" / "recipes.md").read_text(), re.M | re.S)


def check():
    with Hub() as hub, tempfile.TemporaryDirectory() as directory:
        recipe = Recipe(hub.settings, Path(directory))
        recipe.run(CLIENT / "python", "-c", CREATE)
        service, nightly = (yaml.safe_load(text)["jobs"] for text in blocks("yaml"))
        check_form(recipe, blocks("js")[0])
        check_service(recipe, service["add"]["steps"][1]["env"]["SCRIPT"])
        check_nightly(recipe, nightly["renew"]["steps"][1]["env"]["SCRIPT"])


class Recipe:
    def __init__(self, settings, directory):
        self.endpoint, self.token, self.directory = settings["HF_ENDPOINT"], settings["HF_TOKEN"], directory
        path = f"{CLIENT}:{os.environ['PATH']}"
        added = {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": self.token, "HF_HOME": str(directory), "PATH": path}
        self.environment = os.environ | added

    def run(self, *command, fails=False, **added):
        done = subprocess.run(
            command, env=self.environment | added, cwd=self.directory, capture_output=True, text=True, timeout=60
        )
        require((done.returncode != 0) == fails, f"{command[0]} {'fails' if fails else 'succeeds'}", done.stderr[-2000:])

    def file(self, name):
        url = f"{self.endpoint}/datasets/acme/doorman/resolve/main/{name}"
        with urlopen(Request(url, headers={"Authorization": f"Bearer {self.token}"})) as answer:
            return answer.read().decode()

    def emails(self):
        return [line.split(",")[1] for line in self.file("signed.csv").splitlines()[1:]]


def check_form(recipe, script):
    script = GOOGLE + script.replace("https://huggingface.co", recipe.endpoint)
    submit = lambda email: f'{script}\nonFormSubmit({{ namedValues: {{ "E-mail": [{json.dumps(email)}] }} }});'
    recipe.run("node", "-e", submit(" ada@epfl.ch "))
    for email in ("a@b.example,c@d.example", "a@b.example\nc@d.example", "nobody", '"a"@b.example'):
        recipe.run("node", "-e", submit(email))
    expect(recipe.emails() == ["ada@epfl.ch"], "the form appends an address, and nothing else", recipe.emails())
    # Another line is committed after the script has read the file.
    append = recipe.directory / "append.py"
    append.write_text(APPEND)
    recipe.run("node", "-e", submit("kim@epfl.ch"), INTERRUPT=f"{CLIENT}/python {append}")
    expected = ["ada@epfl.ch", "other@epfl.ch", "kim@epfl.ch"]
    expect(recipe.emails() == expected, "two forms at the same time lose no line", recipe.emails())


def check_service(recipe, script):
    recipe.run(CLIENT / "python", "-c", script, EMAIL="grace@example.org")
    recipe.run(CLIENT / "python", "-c", script, EMAIL="a@b.example,c@d.example", fails=True)
    expect(recipe.emails()[3:] == ["grace@example.org"], "the service appends an address, and nothing else", recipe.emails())


def check_nightly(recipe, script):
    source = recipe.directory / "source.txt"
    names = [f"university{number}.example.edu" for number in range(1200)]
    for lines, fails in ((names, False), ([], True), (names[:10], True)):
        source.write_text("".join(f"{name}\n" for name in lines))
        recipe.run("bash", "-c", script, LIST=source.as_uri(), fails=fails)
    renewed = recipe.file("universities.txt").splitlines()
    expect(renewed == sorted(names), "the nightly list is renewed, but not by a short answer", len(renewed))
