"""Checks that each alarm of the template is raised by its fault, and that none is raised without a fault.

The metrics in HubDoorman come from log lines that the function wrote. Errors in AWS/Lambda come from its failed invocations.
Throttles are made up, because Lambda counts them without the function.
"""

import json
import time

from alarm import Alarm, Metric, samples
from checks import expect
from running import Function, Hub, failed, sample, webhook
from template import Stack

COVERED = {
    "RejectedWebhooks",
    "TokenRefused",
    "LimitsReached",
    "PolicyUnusable",
    "DigestFailed",
    "Errors",
    "OldestPending",
    "NoSweepFinished",
    "Throttles",
}
BURST = 5
WRONG_TOKEN = "hf_ThisOneTheHubDoesNotKnow"


class Doorman(Function):
    """The function, with the metrics that CloudWatch would have of it."""

    def __init__(self, stack, hub, **added):
        super().__init__(stack, hub, **added)
        name = stack.reference("Doorman")
        self.errors = Metric("AWS/Lambda", "Errors", (("FunctionName", name),))

    def period(self, *events):
        """Sends the events, and returns the metrics of a period in which only they arrive."""
        before = len(self.metrics())
        errors = [(self.errors, int(failed(self.invoke(event)))) for event in events]
        return [each for text in self.metrics()[before:] for each in samples(text)] + errors


def check():
    with Hub() as hub:
        stack = Stack(**hub.parameters(RejectedWebhooksBurst=BURST))
        quiet = quiet_periods(hub, stack)
        alarms = {name: Alarm(about) for name, about in stack.of_type("AWS::CloudWatch::Alarm").items()}
        expect(set(alarms) == COVERED, "these checks cover all alarms of the template", sorted(alarms))
        for name, alarm in alarms.items():
            expect_quiet(name, alarm, quiet, "no fault")
        check_burst(hub, stack, alarms["RejectedWebhooks"])
        check_token(hub, stack, alarms["TokenRefused"], alarms["Errors"])
        check_limit(hub, alarms["LimitsReached"])
        check_policy(hub, alarms["PolicyUnusable"])
        check_digest(hub, alarms["DigestFailed"])
        check_wait(hub, stack)
        check_sweeps(hub, alarms["NoSweepFinished"], quiet)
        check_throttles(stack, alarms["Throttles"], quiet)


def expect_raised(name, alarm, periods, why):
    expect(alarm.is_raised(periods), f"{name} is raised by {why}: {alarm.describe(periods)}", "it is quiet")


def expect_quiet(name, alarm, periods, why):
    expect(not alarm.is_raised(periods), f"{name} is quiet with {why}: {alarm.describe(periods)}", "it is raised")


def quiet_periods(hub, stack):
    """Returns periods with a sweep, webhooks, and one wrong secret, which is too few for an alarm."""
    secret = hub.settings["WEBHOOK_SECRET"]
    with Doorman(stack, hub) as function:
        events = [sample("sweep"), sample("discussion-opened"), webhook(secret), webhook("wrong")]
        return [function.period(*events) for _ in range(3)]


def check_burst(hub, stack, alarm):
    with Doorman(stack, hub) as function:
        fewer = function.period(*[webhook("wrong")] * (BURST - 1))
        burst = function.period(*[webhook("wrong")] * BURST)
    expect_quiet("RejectedWebhooks", alarm, [fewer], f"{BURST - 1} webhooks with a wrong secret")
    expect_raised("RejectedWebhooks", alarm, [burst], f"{BURST} of them")


def check_token(hub, stack, refused, errors):
    with Doorman(stack, hub, HF_TOKEN=WRONG_TOKEN) as function:
        by_webhook = function.period(sample("discussion-opened"))
        periods = [function.period(sample("sweep")) for _ in range(2)]
    expect_raised("TokenRefused", refused, [by_webhook], "a webhook whose token the Hub refuses")
    expect_raised("TokenRefused", refused, periods[:1], "a sweep whose token the Hub refuses")
    expect_quiet("Errors", errors, periods[:1], "one failed invocation")
    expect_raised("Errors", errors, periods, "failed invocations in two periods")


def check_limit(hub, alarm):
    for limit, expect_state in ((0, expect_raised), (1_000_000, expect_quiet)):
        policy = json.dumps({"default": "accept", "limits": {"accept": limit}, "rules": []})
        with Doorman(Stack(**hub.parameters(ApprovalPolicy=policy)), hub, DRY_RUN="true") as function:
            period = function.period(sample("sweep"))
        expect_state("LimitsReached", alarm, [period], f"a limit of {limit}")


def check_policy(hub, alarm):
    place = "hf://datasets/acme/missing/policy.toml"
    with Doorman(Stack(**hub.parameters(ApprovalPolicy=place)), hub, DRY_RUN="true") as function:
        period = function.period(sample("sweep"))
    expect_raised("PolicyUnusable", alarm, [period], "a policy in a dataset that does not exist")


def check_digest(hub, alarm):
    # With a policy that cannot be used, the digest is due on every day.
    stack = Stack(**hub.parameters(ApprovalPolicy="hf://datasets/acme/missing/policy.toml"))
    with Doorman(stack, hub, DIGEST_TO="http://127.0.0.1:1/") as function:
        period = function.period(sample("digest"))
    expect_raised("DigestFailed", alarm, [period], "a digest whose destination cannot be reached")


def check_wait(hub, stack):
    # When the stand-in started, its requests were exactly one hour old.
    time.sleep(max(0, hub.start + 2 - time.monotonic()))
    with Doorman(stack, hub) as function:
        period = function.period(sample("sweep"))
    for hours in (1, 2):
        alarm = Alarm(Stack(**hub.parameters(OldestPendingHours=hours)).properties("OldestPending"))
        expect_state = expect_raised if hours == 1 else expect_quiet
        expect_state("OldestPending", alarm, [period, [], []], f"an age above 1 h, and a limit of {hours} h")


def check_sweeps(hub, alarm, quiet):
    expect_raised("NoSweepFinished", alarm, [[], [], []], "no sweep at all")
    expect_raised("NoSweepFinished", alarm, [*quiet, [], [], []], "sweeps that have stopped")
    absent = Stack(**hub.parameters(Repos="acme/* acme/no-such-model acmee/*"))
    with Doorman(absent, hub) as function:
        periods = [function.period(sample("sweep")) for _ in range(3)]
        parts = [function.period(sample("sweep-some")) for _ in range(3)]
    failures = sum(value for period in periods for metric, value in period if metric == function.errors)
    expect(failures == 0, "a sweep with a repo that does not exist does not fail", failures)
    expect_raised("NoSweepFinished", alarm, periods, "sweeps that cannot review one repo")
    expect_raised("NoSweepFinished", alarm, parts, "sweeps of some repos only")
    expect_quiet("NoSweepFinished", alarm, [*periods[:2], quiet[0]], "one sweep of three that finishes")


def check_throttles(stack, alarm, quiet):
    throttled = (Metric("AWS/Lambda", "Throttles", (("FunctionName", stack.reference("Doorman")),)), 1)
    expect_raised("Throttles", alarm, [[*quiet[0], throttled]], "one throttled invocation, made up")
