"""Runs all checks, or those whose names are its arguments, and ends at the first that fails."""

import logging
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from time import perf_counter

# Whatever is set on this machine, nothing is told to anybody and nothing is signed with somebody's own keys.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {
    "SAM_CLI_TELEMETRY": "0",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKIAMADEUPFORCHECKS0",
    "AWS_SECRET_ACCESS_KEY": "made-up-for-checks",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
    # cargo-lambda gives a role one of AWS's own policies, which moto has only if it is told to.
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
}

# What moto and SAM's translator tell of themselves.
logging.disable(logging.WARNING)

import alarms
import documents
import events
import metrics
import secrets_of_aws
import smoke
import template_checks
import terminal
import tools
from checks import NotOk, ok

# In this order: `build` makes what those below it run, and `metrics` and `documents` look at what all before
# them have written.
PARTS = {
    "lint": tools.lint,
    "template": template_checks.check,
    "build": tools.build,
    "deploy": tools.deploy,
    "events": events.check,
    "secrets": secrets_of_aws.check,
    "alarms": alarms.check,
    "metrics": metrics.check,
    "documents": documents.check,
    "terminal": terminal.check,
    "smoke": smoke.check,
}

# Those that run nothing of what `build` makes.
BY_THEMSELVES = {"lint", "terminal", "smoke"}


def main(chosen):
    unknown = set(chosen) - set(PARTS)
    if unknown:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}; there are: {', '.join(PARTS)}")
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as directory:
        tools.WORK = Path(directory)
        os.environ["__SAM_CLI_APP_DIR"] = directory
        first = [] if set(chosen) <= BY_THEMSELVES else ["build"]
        for part in [*first, *chosen] if chosen else PARTS:
            print(f"\n== {part}")
            begun = perf_counter()
            PARTS[part]()
            print(f"{part} took {perf_counter() - begun:.1f} s")
    ok("all is well" if not chosen else "those are well")


try:
    main(sys.argv[1:])
except NotOk as error:
    print(f"not ok: {error}", file=sys.stderr)
    sys.exit(1)
except Exception as error:
    traceback.print_exc()
    print(f"not ok: a check broke down: {error!r}", file=sys.stderr)
    sys.exit(1)
