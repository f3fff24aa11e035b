"""Runs all parts, or the named ones after `build`, and ends at the first failed check."""

import logging
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from time import perf_counter

# The checks use neither AWS credentials nor AWS settings of this machine, and send no telemetry.
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
    # cargo-lambda attaches a policy managed by AWS to its role. moto knows those policies only with this variable.
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
}

# moto and SAM's translator log a lot.
logging.disable(logging.WARNING)

import action
import alarms
import containers
import deploy
import desk
import documents
import live
import mails
import metrics
import policies
import recipes
import release
import secrets_of_aws
import smoke
import template_checks
import terminal
import tools
import wheel
import workflows
from checks import NotOk, ok

# The order matters. Later parts run the function that `build` makes. `metrics` and `documents` check the log lines of the parts
# before them.
PARTS = {
    "lint": tools.lint,
    "template": template_checks.check,
    "build": tools.build,
    "cargo-lambda": tools.cargo_lambda,
    "deploy": deploy.check,
    "secrets": secrets_of_aws.check,
    "alarms": alarms.check,
    "mails": mails.check,
    "metrics": metrics.check,
    "documents": documents.check,
    "policies": policies.check,
    "recipes": recipes.check,
    "terminal": terminal.check,
    "desk": desk.check,
    "smoke": smoke.check,
    "live": live.check,
    "containers": containers.check,
    "workflows": workflows.check,
    "wheel": wheel.check,
    "action": action.check,
}

# These parts do not need the function that `build` makes.
INDEPENDENT = set(PARTS) - {"cargo-lambda", "secrets", "alarms", "mails", "metrics", "documents"} | {"release"}

# These parts run only if they are named.
NAMED_ONLY = {"release": release.check}


def main(chosen):
    parts = PARTS | NAMED_ONLY
    unknown = set(chosen) - set(parts)
    if unknown:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}; name one or more of: {', '.join(parts)}")
    # On SIGTERM, the processes that were started are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as directory:
        tools.WORK = Path(directory)
        os.environ["__SAM_CLI_APP_DIR"] = directory
        first = [] if set(chosen) <= INDEPENDENT else ["build"]
        for part in [*first, *chosen] if chosen else PARTS:
            print(f"\n== {part}")
            start = perf_counter()
            parts[part]()
            print(f"{part} took {perf_counter() - start:.1f} s")
    ok("all parts passed" if not chosen else f"these parts passed: {', '.join(chosen)}")


try:
    main(sys.argv[1:])
except NotOk as error:
    print(f"not ok: {error}", file=sys.stderr)
    sys.exit(1)
except Exception as error:
    traceback.print_exc()
    print(f"not ok: a check crashed: {error!r}", file=sys.stderr)
    sys.exit(1)
