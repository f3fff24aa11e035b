"""Each alarm of the template is raised by what it is there for, and none is raised when all is well.

The metrics of HubDoorman are from lines that the function wrote when it was provoked, the Errors of AWS/Lambda from its
failed invocations. Throttles are made up: Lambda counts them before the function has a part in it.
"""

import time

from alarm import Alarm, Metric, samples
from checks import expect
from running import Function, Hub, failed, sample, webhook
from template import Stack

RAISED_HERE = {"RejectedWebhooks", "TokenRefused", "Errors", "OldestPending", "NoSweepFinished", "Throttles"}
BURST = 5
WRONG_TOKEN = "hf_ThisOneTheHubDoesNotKnow"


class Doorman(Function):
    """The function, and what CloudWatch would have of it after each period."""

    def __init__(self, stack, hub, **added):
        super().__init__(stack, hub, **added)
        name = stack.reference("Doorman")
        self.errors = Metric("AWS/Lambda", "Errors", (("FunctionName", name),))

    def period(self, *events):
        """The metrics of a period in which these events come."""
        before = len(self.metrics())
        errors = [(self.errors, int(failed(self.invoke(event)))) for event in events]
        return [each for text in self.metrics()[before:] for each in samples(text)] + errors


def check():
    with Hub() as hub:
        stack = Stack(**hub.parameters(RejectedWebhooksBurst=BURST))
        quiet = quiet_periods(hub, stack)
        alarms = {name: Alarm(about) for name, about in stack.of_type("AWS::CloudWatch::Alarm").items()}
        expect(set(alarms) == RAISED_HERE, "these are the alarms that are raised here", sorted(alarms))
        for name, alarm in alarms.items():
            expect_quiet(name, alarm, quiet, "all being well")
        check_burst(hub, stack, alarms["RejectedWebhooks"])
        check_token(hub, stack, alarms["TokenRefused"], alarms["Errors"])
        check_wait(hub, stack)
        check_sweeps(hub, alarms["NoSweepFinished"], quiet)
        check_throttles(stack, alarms["Throttles"], quiet)


def expect_raised(name, alarm, periods, why):
    expect(alarm.is_raised(periods), f"{name} is raised by {why}: {alarm.describe(periods)}", "it is quiet")


def expect_quiet(name, alarm, periods, why):
    expect(not alarm.is_raised(periods), f"{name} is quiet with {why}: {alarm.describe(periods)}", "it is raised")


def quiet_periods(hub, stack):
    """A sweep in each, a webhook or two, and one with a wrong secret, which is nothing to be told of."""
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


def check_wait(hub, stack):
    # When the stand-in was started its people had waited for an hour, to the second.
    time.sleep(max(0, hub.begun + 2 - time.monotonic()))
    with Doorman(stack, hub) as function:
        period = function.period(sample("sweep"))
    for hours in (1, 2):
        alarm = Alarm(Stack(**hub.parameters(OldestPendingHours=hours)).properties("OldestPending"))
        expect_state = expect_raised if hours == 1 else expect_quiet
        expect_state("OldestPending", alarm, [period, [], []], f"a wait of more than an hour, if {hours} may be waited")


def check_sweeps(hub, alarm, quiet):
    expect_raised("NoSweepFinished", alarm, [[], [], []], "no sweep at all")
    expect_raised("NoSweepFinished", alarm, [*quiet, [], [], []], "no sweep any more")
    absent = Stack(**hub.parameters(Repos="acme/* acme/no-such-model acmee/*"))
    with Doorman(absent, hub) as function:
        periods = [function.period(sample("sweep")) for _ in range(3)]
        parts = [function.period(sample("sweep-some")) for _ in range(3)]
    failures = sum(value for period in periods for metric, value in period if metric == function.errors)
    expect(failures == 0, "a sweep over a repo that is not there does not fail", failures)
    expect_raised("NoSweepFinished", alarm, periods, "sweeps that leave a repo undone")
    expect_raised("NoSweepFinished", alarm, parts, "sweeps over some repos only")
    expect_quiet("NoSweepFinished", alarm, [*periods[:2], quiet[0]], "one sweep of three that finishes")


def check_throttles(stack, alarm, quiet):
    throttled = (Metric("AWS/Lambda", "Throttles", (("FunctionName", stack.reference("Doorman")),)), 1)
    expect_raised("Throttles", alarm, [[*quiet[0], throttled]], "one throttled invocation, made up")
