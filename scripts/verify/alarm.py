"""An alarm of the template, evaluated as CloudWatch evaluates it, over what was measured.

As https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html has it.
"""

import json
import operator
import re
from dataclasses import dataclass

from checks import NotOk

STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min}
# How many periods before those that it evaluates CloudWatch looks at is not documented; its examples have two.
FURTHER_PERIODS = 2
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


@dataclass(frozen=True)
class Metric:
    """What a metric is known by, its dimensions as sorted pairs."""

    namespace: str
    name: str
    dimensions: tuple

    @classmethod
    def of(cls, about):
        pairs = ((dimension["Name"], dimension["Value"]) for dimension in about.get("Dimensions", []))
        return cls(about["Namespace"], about["MetricName"], tuple(sorted(pairs)))


def samples(text):
    """The metrics in a line of the log with their values, as CloudWatch takes them out of it."""
    line = json.loads(text)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = tuple(sorted((name, line[name]) for name in names))
            for metric in directive["Metrics"]:
                yield Metric(directive["Namespace"], metric["Name"], dimensions), line[metric["Name"]]


class Alarm:
    def __init__(self, about):
        self.about = about
        self.expression, self.is_filled = None, False
        if "Metrics" in about:
            (formula,) = [each for each in about["Metrics"] if "Expression" in each]
            (source,) = [each for each in about["Metrics"] if "MetricStat" in each]
            # The two kinds of metric math that the template has.
            self.expression = formula["Expression"]
            divided = re.fullmatch(rf"{source['Id']} / (\d+)", self.expression)
            self.is_filled = self.expression == f"FILL({source['Id']}, 0)"
            self.divisor = int(divided[1]) if divided else 1
            is_known = (divided or self.is_filled) and not source.get("ReturnData", True)
            if not is_known or not formula.get("ReturnData", True):
                raise NotOk(f"the alarm {about['AlarmName']}: what is {about['Metrics']}?")
            self.metric, self.statistic = Metric.of(source["MetricStat"]["Metric"]), source["MetricStat"]["Stat"]
        else:
            self.metric, self.statistic, self.divisor = Metric.of(about), about["Statistic"], 1
        if self.statistic not in STATISTICS or about["ComparisonOperator"] not in COMPARISONS:
            raise NotOk(
                f"the alarm {about['AlarmName']}: {self.statistic} {about['ComparisonOperator']} is unknown here"
            )

    def datapoint(self, period):
        """That of a period, which is a list of metrics with values; None if there is none."""
        values = [value for metric, value in period if metric == self.metric]
        if not values:
            return 0 if self.is_filled else None
        return STATISTICS[self.statistic](values) / self.divisor

    def breaches(self, datapoint):
        if datapoint is None:
            return {"breaching": True, "notBreaching": False}[self.about["TreatMissingData"]]
        return COMPARISONS[self.about["ComparisonOperator"]](datapoint, float(self.about["Threshold"]))

    def is_raised(self, periods):
        """Whether it is, after these periods; before them there was nothing.

        CloudWatch looks at more periods than it evaluates, and what is missing counts only where these do not have enough.
        """
        evaluated = self.about["EvaluationPeriods"]
        latest = ([[]] * (evaluated + FURTHER_PERIODS) + periods)[-evaluated - FURTHER_PERIODS :]
        datapoints = [self.datapoint(period) for period in latest]
        there = [datapoint for datapoint in datapoints[-evaluated:] if datapoint is not None]
        if len(there) < evaluated:
            there = [datapoint for datapoint in datapoints if datapoint is not None][-evaluated:]
        breaching = sum(map(self.breaches, there + [None] * (evaluated - len(there))))
        return breaching >= self.about.get("DatapointsToAlarm", evaluated)

    def describe(self, periods):
        seen = ["missing" if value is None else f"{value:.6g}" for value in map(self.datapoint, periods)]
        about = self.about
        measure = f"{self.statistic} of {self.metric.namespace} {self.metric.name}" + (
            f", {self.expression}" if self.expression else ""
        )
        return f"{measure}: {', '.join(seen)}; {about['ComparisonOperator']} {about['Threshold']}"
