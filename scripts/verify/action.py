"""Runs the GitHub Action's script with the wheel, against the stand-in Hub."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from checks import expect, require
from running import Hub
from tools import ROOT, TARGET, run


def check():
    run(sys.executable, ROOT / "scripts" / "release.py", "trial")
    [wheel] = (TARGET / "dist" / "trial").glob("*.whl")
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    [step] = action["runs"]["steps"]
    used = {name for value in step["env"].values() for name in action["inputs"] if f"inputs.{name} " in value}
    require(used == set(action["inputs"]), "the step uses every input", used ^ set(action["inputs"]))

    with Hub() as hub, tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "policy.json").write_text(hub.settings["APPROVAL_POLICY"])
        start = lambda **variables: run_script(step, folder, wheel, hub, **variables)  # noqa: E731

        done, summary = start(DRY_RUN="true", VISIBILITY="public")
        expect(done.returncode == 0 and "accept" in summary and "ada" not in summary, "a public job names nobody", summary)
        done, summary = start(DRY_RUN="true")
        expect("### Would be decided" in summary and "### Decided" not in summary, "the summary of a dry run says what would be decided", summary)
        (folder / "cases.json").write_text('{"repo": "acme/x", "cases": [{"name": "n", "user": {"name": "a"}, "verdict": "reject"}]}')
        done, summary = start(CASES="cases.json")
        expect(done.returncode and not summary, "a case that fails stops the job before it decides", done.stdout + summary)
        done, summary = start()
        expect(
            done.returncode == 0 and "/ada\">ada</a>" in summary and "### Held" in summary and "### Decided" in summary,
            "the summary says who is held and who was decided",
            done.stdout + done.stderr + summary,
        )
        expect("@" not in summary and hub.settings["HF_TOKEN"] not in summary + done.stdout, "it shows no address and no token", summary)
        done, summary = start(REPOS="acme/* acme/gone")
        expect(
            done.returncode == 0 and "::warning::" in done.stdout and re.search("left for the next run.*\n- acme/gone&#58; ", summary, re.DOTALL),
            "what is left for the next run is a warning, not an error, and the summary says why",
            done.stdout + done.stderr + summary,
        )
        done, _ = start(HF_TOKEN="hf_wrong")
        expect(done.returncode == 1, "a refused token is an error", done.stdout + done.stderr)


def run_script(step, folder, wheel, hub, **variables):
    """Runs the step's script as the runner does. Returns the process and the summary."""
    summary = folder / "summary.md"
    summary.unlink(missing_ok=True)
    given = {"HF_ENDPOINT": hub.settings["HF_ENDPOINT"], "HF_TOKEN": hub.settings["HF_TOKEN"], "REPOS": "acme/*"}
    given |= {"POLICY": "policy.json", "CASES": "", "DRY_RUN": "false", "PACKAGE": str(wheel), "VISIBILITY": "private"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GITHUB_ACTION_PATH": str(ROOT)}
    environment |= given | variables | {"GITHUB_STEP_SUMMARY": str(summary)}
    done = subprocess.run(["bash", "-c", step["run"]], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done, summary.read_text() if summary.exists() else ""
