"""Runs the program `doorman` of this package, for `uvx hub-doorman` and `python -m hub_doorman`."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path


def main():
    command = [find(), *sys.argv[1:]]
    if sys.platform == "win32":
        # On Windows, `execv` would return to the shell before the program ends.
        sys.exit(subprocess.run(command).returncode)
    os.execv(command[0], command)


def find():
    """Returns the path of the program: in the interpreter's scripts, the user's scripts, or a folder of `pip install --target`."""
    folders = [
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")),
        Path(__file__).parents[1] / "bin",
    ]
    for folder in folders:
        program = Path(folder, "doorman" + (sysconfig.get_config_var("EXE") or ""))
        if program.is_file():
            return str(program)
    sys.exit("hub-doorman: the program `doorman` is not installed; run `pip install --force-reinstall hub-doorman`")


if __name__ == "__main__":
    main()
