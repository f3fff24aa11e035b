"""Checks of the template that no tool of AWS makes, with several sets of parameters."""

import json

from checks import NotOk, expect, ok, require
from template import ACCOUNT, Refused, Stack
from transformed import RESULT, transformed

SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:doorman/hub-AbCdEf"
PARAMETER_ARN = "arn:aws:ssm:eu-central-1:123456789012:parameter/doorman/webhook"
KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:operators"
SECRETS = ("HfToken", "WebhookSecret", "WebhookSecretPrevious", "MailSecret", "DigestTo")
WEBHOOK_URL = "https://hooks.slack.com/services/T0/B0/aKeyInPlainText"

PLAIN = {
    "ApprovalPolicy": '{"rules": [], "default": "hold"}',
    "HfToken": "hf_aTokenInPlainText",
    "WebhookSecret": "webhook:secret:in:plain:text",
    "NoSweeps": "true",
}
MAIL = {"MailDomain": "doorman.acme.com", "MailSecret": "look-here-4f9a2c7d1b"}
CASES = {
    "plain secrets": PLAIN,
    "plain secrets and a key": PLAIN | {"KmsKeyArn": KEY_ARN, "WebhookSecretPrevious": "previous-secret-in-plain-text"},
    "plain secrets and sweeps": PLAIN | {"Repos": "acme/*", "AlarmTopic": TOPIC, "NoSweeps": "false"},
    "a digest to a topic and to URLs": PLAIN
    | {"Repos": "acme/*", "DigestHour": "7", "DigestTopic": TOPIC, "DigestTo": f"{WEBHOOK_URL} {WEBHOOK_URL}2"},
    "a digest to a URL that AWS keeps": PLAIN | {"DigestHour": "23", "DigestTo": f"{SECRET_ARN}#url", "KmsKeyArn": KEY_ARN},
    "the token's ARN": PLAIN | {"HfToken": SECRET_ARN, "Repos": "acme/*"},
    "ARNs, plain text and a key": PLAIN
    | {
        "HfToken": f"{SECRET_ARN}#token",
        "WebhookSecretPrevious": PARAMETER_ARN,
        "KmsKeyArn": KEY_ARN,
        "SweepMinutes": "60",
    },
    "ARNs only": PLAIN
    | {
        "HfToken": f"{SECRET_ARN}#token",
        "WebhookSecret": f"{SECRET_ARN}#a key",
        "WebhookSecretPrevious": PARAMETER_ARN,
    },
    "mail": PLAIN | MAIL,
    "copies of mail and an ARN": PLAIN | MAIL | {"MailSecret": SECRET_ARN, "MailForward": "ada@acme.com", "SweepMinutes": "1"},
    "mail into another set of rules": PLAIN | MAIL | {"MailRuleSet": "of-others"},
}
REFUSED = [
    ("HfToken", ""),
    ("HfToken", "arn:aws:s3:::bucket"),
    ("HfToken", f"{SECRET_ARN}#"),
    ("HfToken", "arn:aws:ssm:eu-central-1:123456789012:parameter/*"),
    ("HfToken", "arn:aws:ssm:eu-central-1:123456789012:document/doorman"),
    ("WebhookSecret", "short"),
    ("WebhookSecret", " " * 16),
    ("WebhookSecret", "x" + " " * 15),
    ("WebhookSecret", SECRET_ARN.removesuffix("-AbCdEf")),
    ("WebhookSecret", f" {SECRET_ARN}"),
    ("KmsKeyArn", "alias/doorman"),
    ("AlarmTopic", "arn:aws:sns:eu-central-1:123456789012:operators.fifo"),
    ("DigestTo", "http://hooks.slack.com/services/T0/B0/x"),
    ("DigestTo", f"{WEBHOOK_URL} {SECRET_ARN}"),
    ("DigestTo", TOPIC),
    ("DigestTopic", "arn:aws:sns:eu-central-1:123456789012:owners.fifo"),
    ("DigestHour", "24"),
    ("DigestHour", "7"),
    ("ApprovalPolicy", "policy.json"),
    ("MailDomain", "doorman.acme.com"),
    ("MailDomain", "@acme.com"),
    ("MailSecret", "short"),
    ("MailSecret", "look-here-4f9a2c7d1b@acme.com"),
    ("MailFrom", "@huggingface.co"),
    ("MailForward", "ada"),
    ("LogLevel", "trace"),
    ("OldestPendingHours", "0"),
    ("NoSweeps", "false"),
]


def check():
    for case, parameters in CASES.items():
        stack = Stack(**parameters)
        check_secrets(case, parameters, stack)
        check_digest(case, parameters, stack)
        check_dashboard(case, stack)
        ok(f"{case}: each secret is only where it belongs, and the dashboard is complete")
    check_url(Stack(**PLAIN))
    check_mail()
    check_calls(Stack(**CASES["plain secrets and sweeps"]))
    architectures = Stack(**PLAIN).properties("Doorman")["Architectures"]
    expect(architectures == ["arm64"], "arm64 is the default", architectures)
    for name, value in REFUSED:
        try:
            Stack(**PLAIN | {name: value})
        except Refused:
            continue
        raise NotOk(f"the template accepts {name}={value}")
    ok(f"{len(REFUSED)} wrong parameters are refused")
    check_transformed()


def check_transformed():
    """The template of `doorman deploy` is made from this one, and gives the same stack as SAM."""
    seen = RESULT.read_text()
    how = "run scripts/verify/transformed.py, which writes doorman/src/deploy/template.json"
    expect(seen == transformed(), "the template of `doorman deploy` is that of template.yaml", how)
    template = json.loads(seen)
    require("Transform" not in template, "it needs no transform, and so no CAPABILITY_AUTO_EXPAND", list(template))
    # The limit of a template that is sent with the call. `doorman deploy` sends it without white space.
    size = len(json.dumps(template, separators=(",", ":")).encode())
    expect(size < 51_200, f"it has {size} bytes, so it can be sent without a bucket", size)
    for case, parameters in CASES.items():
        sam, plain = Stack(**parameters), Stack(transformed=template, CodeBucket="bucket", CodeKey="key", **parameters)
        for about in sam.resources.values():
            about.pop("Metadata", None)
        del sam.properties("Doorman")["Tags"]
        require(plain.resources == sam.resources, f"{case}: it makes the resources of SAM", plain.resources)
        require(plain.outputs == sam.outputs, f"{case}: it has the outputs of SAM", plain.outputs)
    ok(f"with {len(CASES)} sets of parameters, it makes the same resources as SAM")


def check_secrets(case, parameters, stack):
    """A secret in plain text is in the function's environment only. The role may read each ARN, without its #key."""
    others = {name: about for name, about in stack.resources.items() if name != "Doorman"}
    rest = {name: about for name, about in stack.properties("Doorman").items() if name != "Environment"}
    elsewhere = json.dumps([others, rest, stack.outputs])
    role = stack.properties("DoormanRole")
    policies = {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in role["Policies"]}
    readable = [arn for statement in policies.get("secrets", []) for arn in statement["Resource"]]
    named = []
    for name in SECRETS:
        value = parameters.get(name, "none")
        if value.startswith("arn:"):
            named.append(value.split("#")[0])
        elif value != "none" and value in elsewhere:
            raise NotOk(f"{case}: {name} is outside the function's environment")
    require(readable == named, f"{case}: the role may read {named} and nothing else", readable)
    require("#" not in json.dumps(role), f"{case}: the role contains no #key", role)
    has_key = bool(named) and "KmsKeyArn" in parameters
    keys = [statement["Resource"] for statement in policies.get("key", [])]
    require(keys == [KEY_ARN] * has_key, f"{case}: the role may use {'a' if has_key else 'no'} key of KMS", keys)


def check_digest(case, parameters, stack):
    """The schedule exists only if an hour is set. The role may publish to the topic of the digest, and to no other."""
    topic, to = parameters.get("DigestTopic", ""), parameters.get("DigestTo", "")
    seen = stack.properties("Doorman")["Environment"]["Variables"]["DIGEST_TO"]
    require(seen.split() == [*topic.split(), *to.split()], f"{case}: the function has all destinations", seen)
    policies = {policy["PolicyName"]: policy["PolicyDocument"]["Statement"] for policy in stack.properties("DoormanRole")["Policies"]}
    expected = [{"Effect": "Allow", "Action": "sns:Publish", "Resource": topic}] if topic else []
    require(policies.get("digest", []) == expected, f"{case}: the role may publish to {topic or 'no topic'}", policies)
    hour = parameters.get("DigestHour")
    schedules = stack.of_type("AWS::Scheduler::Schedule")
    require(("DigestSchedule" in schedules) == (hour is not None), f"{case}: a digest is sent if its hour is set", sorted(schedules))
    if hour is not None:
        schedule = schedules["DigestSchedule"]
        seen = (schedule["ScheduleExpression"], json.loads(schedule["Target"]["Input"]), schedule["Target"]["Arn"])
        expected = (f"cron(0 {hour} * * ? *)", {"digest": True}, stack.attribute("Doorman", "Arn"))
        require(seen == expected, f"{case}: the digest is sent at its hour", seen)


def check_dashboard(case, stack):
    text = stack.properties("Dashboard")["DashboardBody"]
    try:
        widgets = json.loads(text)["widgets"]
    except ValueError as error:
        raise NotOk(f"{case}: the dashboard is not JSON: {error}") from error
    require("${" not in text, f"{case}: the dashboard has no unresolved reference", text)
    shown = widgets[0]["properties"]["alarms"]
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    names = sorted(alarm["AlarmName"] for alarm in alarms.values())
    require(sorted(arn.split(":alarm:")[1] for arn in shown) == names, f"{case}: the dashboard shows all alarms", shown)


def check_calls(stack):
    """The topic gets all alarms, the schedule starts the function, and failed sweeps go to the queue."""
    alarms = stack.of_type("AWS::CloudWatch::Alarm")
    for name, alarm in alarms.items():
        seen = [alarm.get("AlarmActions"), alarm.get("OKActions")]
        require(seen == [[TOPIC]] * 2, f"the topic gets the start and the end of {name}", seen)
    ok(f"the topic gets the start and the end of {len(alarms)} alarms")
    queue, schedule = stack.attribute("SweepFailures", "Arn"), stack.properties("SweepSchedule")
    failed = stack.properties("DoormanEventInvokeConfig")["DestinationConfig"]["OnFailure"]["Destination"]
    undelivered = schedule["Target"]["DeadLetterConfig"]["Arn"]
    expect(failed == undelivered == queue, "sweeps that fail or cannot be delivered go to the queue", failed)
    seen = (schedule["State"], schedule["Target"]["Arn"], schedule["ScheduleExpression"])
    expected = ("ENABLED", stack.attribute("Doorman", "Arn"), "rate(5 minutes)")
    expect(seen == expected, "the schedule is on, and invokes the function", seen)
    kept = (stack.properties("LogGroup")["RetentionInDays"], stack.properties("Doorman")["LoggingConfig"]["LogGroup"])
    expect(kept == ("90", stack.reference("LogGroup")), "the function writes to a log that is kept for 90 days", kept)
    hidden = {name for name, about in stack.source["Parameters"].items() if about.get("NoEcho")}
    expect(hidden == set(SECRETS), "exactly the secrets are hidden (NoEcho)", hidden)


def check_url(stack):
    """Since October 2025, a public URL needs both permissions."""
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    seen = [{name: value for name, value in permission.items() if name != "FunctionName"} for permission in permissions]
    for expected in (
        {"Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE"},
        {"Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": True},
    ):
        expect(expected in seen, f"everybody has {expected['Action']} through the URL", seen)
    expect(len(seen) == 2, "nobody has any other permission for the function", seen)


def check_mail():
    """Without a domain, nothing of the mail exists. With one, it gets from SES to the function, and nobody else may send it."""
    without = Stack(**PLAIN | {"MailSecret": "look-here-4f9a2c7d1b", "MailForward": "ada@acme.com"})
    names = [name for name in [*without.resources, *without.outputs] if "Mail" in name]
    variables = without.properties("Doorman")["Environment"]["Variables"]
    seen = [*names, variables["MAIL_SECRET"], "mail" in json.dumps(without.properties("DoormanRole"))]
    expect(seen == ["", False], "without a domain, nothing of the mail exists", seen)
    joined = Stack(**CASES["mail into another set of rules"])
    seen = (joined.properties("MailRule")["RuleSetName"], "MailRules" in joined.resources)
    require(seen == ("of-others", False), "the rule joins the set that is active, and no other set is made", seen)
    for case, topics in ("mail", ["MailTopic"]), ("copies of mail and an ARN", ["MailTopic", "MailCopies"]):
        stack = Stack(**CASES[case])
        rule, mapping = stack.properties("MailRule")["Rule"], stack.properties("MailMapping")
        seen = [(kind, about["TopicArn"]) for action in rule["Actions"] for kind, about in action.items()]
        expected = [("SNSAction", "MailCopies"), ("StopAction", "MailTopic")][-len(topics) :]
        expected = [(kind, stack.reference(topic)) for kind, topic in expected]
        require(seen == expected, f"{case}: the function gets the headers, and only the copies have the text", seen)
        seen = (rule["Enabled"], rule["ScanEnabled"], rule["Recipients"])
        require(seen == (True, True, ["doorman.acme.com"]), f"{case}: the rule is on, and scans all mail of the domain", seen)
        queue, subscription = stack.properties("MailQueue"), stack.properties("MailSubscription")
        seen = (subscription["TopicArn"], subscription["Endpoint"], mapping["EventSourceArn"], mapping["FunctionName"])
        arn, function = stack.attribute("MailQueue", "Arn"), stack.reference("Doorman")
        require(seen == (stack.reference("MailTopic"), arn, arn, function), f"{case}: a mail gets to the function", seen)
        seen = (mapping["MaximumBatchingWindowInSeconds"], mapping["ScalingConfig"]["MaximumConcurrency"])
        require(seen == (3, 2), f"{case}: mails are collected for 3 s, and two invocations run at most", seen)
        times = (queue["VisibilityTimeout"], stack.properties("Doorman")["Timeout"])
        require(times[0] >= times[1], f"{case}: a mail stays hidden while the function works", times)
        (statement,) = stack.properties("MailTopicPolicy")["PolicyDocument"]["Statement"]
        seen = (statement["Principal"]["Service"], statement["Resource"], statement["Condition"]["StringEquals"])
        resources = [stack.reference(topic) for topic in topics]
        expected = ("ses.amazonaws.com", resources, {"AWS:SourceAccount": ACCOUNT})
        require(seen == expected, f"{case}: only SES for this account may send", seen)
        require(len([name for name in stack.outputs if name.startswith("MailRecord")]) == 3, f"{case}: the DNS records", 0)
    ok("with a domain, mail gets from SES to the function, and nobody else may send it")
