"""Makes the template of `doorman deploy` from template.yaml: the result of SAM's transform, which CloudFormation takes without SAM.

    target/verify-tools/bin/python scripts/verify/transformed.py     writes doorman/src/deploy/template.json
"""

import json
import logging
import os
from pathlib import Path
from types import SimpleNamespace

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "doorman" / "src" / "deploy" / "template.json"

# The zip of the function, which `doorman deploy` uploads.
CODE = {
    "CodeBucket": {"Type": "String", "Description": "The bucket that has the zip of the function"},
    "CodeKey": {"Type": "String", "Description": "The key of the zip in the bucket"},
}


def transformed():
    """Returns the text of the template."""
    source = yaml_parse((ROOT / "template.yaml").read_text())
    function = source["Resources"]["Doorman"]
    # Only `sam build` reads the metadata.
    del function["Metadata"]
    function["Properties"]["CodeUri"] = {"Bucket": {"Ref": "CodeBucket"}, "Key": {"Ref": "CodeKey"}}
    parameters = source["Parameters"]
    parameters |= CODE
    # In some places, SAM would replace a reference to a parameter by its default. So there are no defaults during the transform.
    defaults = {name: about.pop("Default") for name, about in parameters.items() if "Default" in about}
    result = transform(source, {}, SimpleNamespace(load=dict))
    for name, default in defaults.items():
        result["Parameters"][name]["Default"] = default
    # This tag says that SAM has deployed the function.
    del result["Resources"]["Doorman"]["Properties"]["Tags"]
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    logging.disable(logging.WARNING)
    RESULT.write_text(transformed())
