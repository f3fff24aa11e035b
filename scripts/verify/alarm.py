"""Evaluates an alarm of the template over given metrics, as CloudWatch does.

The rules are those of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

import json
import operator
import re
from dataclasses import dataclass

from checks import NotOk

STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min}
# CloudWatch also looks at some periods before the evaluated ones. Their number is not documented; its examples have two.
FURTHER_PERIODS = 2
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


@dataclass(frozen=True)
class Metric:
    """The identity of a metric. The dimensions are sorted pairs of name and value."""

    namespace: str
    name: str
    dimensions: tuple

    @classmethod
    def of(cls, about):
        pairs = ((dimension["Name"], dimension["Value"]) for dimension in about.get("Dimensions", []))
        return cls(about["Namespace"], about["MetricName"], tuple(sorted(pairs)))


def samples(text):
    """Yields the metrics in a log line with their values, as CloudWatch extracts them."""
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
            # The template uses two forms of metric math: FILL and a division.
            self.expression = formula["Expression"]
            divided = re.fullmatch(rf"{source['Id']} / (\d+)", self.expression)
            self.is_filled = self.expression == f"FILL({source['Id']}, 0)"
            self.divisor = int(divided[1]) if divided else 1
            is_known = (divided or self.is_filled) and not source.get("ReturnData", True)
            if not is_known or not formula.get("ReturnData", True):
                raise NotOk(f"the alarm {about['AlarmName']}: these metrics are not supported here: {about['Metrics']}")
            self.metric, self.statistic = Metric.of(source["MetricStat"]["Metric"]), source["MetricStat"]["Stat"]
        else:
            self.metric, self.statistic, self.divisor = Metric.of(about), about["Statistic"], 1
        if self.statistic not in STATISTICS or about["ComparisonOperator"] not in COMPARISONS:
            raise NotOk(
                f"the alarm {about['AlarmName']}: {self.statistic} {about['ComparisonOperator']} is not supported here"
            )

    def datapoint(self, period):
        """Returns the data point of a period, which is a list of metrics with values. Returns None if there is none."""
        values = [value for metric, value in period if metric == self.metric]
        if not values:
            return 0 if self.is_filled else None
        return STATISTICS[self.statistic](values) / self.divisor

    def breaches(self, datapoint):
        if datapoint is None:
            return {"breaching": True, "notBreaching": False}[self.about["TreatMissingData"]]
        return COMPARISONS[self.about["ComparisonOperator"]](datapoint, float(self.about["Threshold"]))

    def is_raised(self, periods):
        """Whether the alarm is raised after these periods. Periods before them have no data.

        If data points are missing, CloudWatch uses older ones from the further periods. Only data points that are then still missing
        count as `TreatMissingData` says.
        """
        evaluated = self.about["EvaluationPeriods"]
        latest = ([[]] * (evaluated + FURTHER_PERIODS) + periods)[-evaluated - FURTHER_PERIODS :]
        datapoints = [self.datapoint(period) for period in latest]
        existing = [datapoint for datapoint in datapoints[-evaluated:] if datapoint is not None]
        if len(existing) < evaluated:
            existing = [datapoint for datapoint in datapoints if datapoint is not None][-evaluated:]
        breaching = sum(map(self.breaches, existing + [None] * (evaluated - len(existing))))
        return breaching >= self.about.get("DatapointsToAlarm", evaluated)

    def describe(self, periods):
        seen = ["missing" if value is None else f"{value:.6g}" for value in map(self.datapoint, periods)]
        about = self.about
        measure = f"{self.statistic} of {self.metric.namespace} {self.metric.name}" + (
            f", {self.expression}" if self.expression else ""
        )
        return f"{measure}: {', '.join(seen)}; {about['ComparisonOperator']} {about['Threshold']}"
