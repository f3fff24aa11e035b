"""Checks that CloudWatch can extract the metrics from the function's log lines.

CloudWatch silently treats a line with a fault as an ordinary log line. The JSON schema is the one of
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
which early versions of AWS's library for Python contain. The specification also demands that metrics and dimensions are members of
the line itself. The schema does not express that, so it is checked here.
"""

import json
import re
from pathlib import Path

import jsonschema
from checks import NotOk, expect, ok
from running import METRICS
from template import Stack
from template_checks import PLAIN
from tools import ROOT

# Not imported, because the library's dependencies are not installed.
SCHEMA = Path(jsonschema.__file__).parents[1] / "aws_lambda_powertools" / "metrics" / "schema.json"
VALIDATOR = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
MAX_LINE_BYTES = 256 * 1024


def check():
    expect(METRICS, f"the function wrote {len(METRICS)} lines with metrics", "none were written")
    for text in METRICS:
        found = faults(text)
        if found:
            raise NotOk(f"a line with metrics: {'; '.join(found)}: {text}")
    names = sorted({metric["Name"] for text in METRICS for metric in directives(json.loads(text))[0]["Metrics"]})
    ok(f"all of them have the embedded metric format; {len(names)} metrics: {', '.join(names)}")
    check_dashboard()


def check_dashboard():
    """Checks that the dashboard shows only metrics that the function's source writes."""
    source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
    shown = set()
    for widget in json.loads(Stack(**PLAIN).properties("Dashboard")["DashboardBody"])["widgets"]:
        namespace = None
        for metric in widget["properties"].get("metrics", []):
            if isinstance(metric[0], str):
                namespace = metric[0] if metric[0] != "." else namespace
                shown |= {metric[1]} if namespace == "HubDoorman" else set()
    unknown = {name for name in shown if not re.search(rf"\bMetric::{name}\b", source)}
    expect(shown and not unknown, f"the function writes all {len(shown)} metrics that the dashboard shows", unknown)


def directives(line):
    return line["_aws"]["CloudWatchMetrics"]


def is_value(value):
    """Whether a metric may have this value: a number, or a list of up to 100 numbers."""
    values = value if isinstance(value, list) else [value]
    # `isinstance` would accept a bool as an int.
    return 0 < len(values) <= 100 and all(type(number) in (int, float) for number in values)


def faults(text):
    """Returns the faults of a line."""
    line = json.loads(text)
    found = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in VALIDATOR.iter_errors(line)]
    if found:
        return found
    if len(text.encode()) > MAX_LINE_BYTES:
        found.append(f"it has more than {MAX_LINE_BYTES} bytes")
    for directive in directives(line):
        dimensions = [name for names in directive["Dimensions"] for name in names]
        found += [f"the dimension {name} is not a string" for name in dimensions if not isinstance(line.get(name), str)]
        metrics = [metric["Name"] for metric in directive["Metrics"]]
        found += [f"the metric {name} is not a number, or up to 100 of them" for name in metrics if not is_value(line.get(name))]
    return found
