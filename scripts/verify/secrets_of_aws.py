"""Checks that the function reads its secrets from Secrets Manager and SSM, and publishes its digest to SNS, with the template's role.
moto stands in for AWS.

moto verifies each signature with botocore's code. It also checks the policies of the role that signed. For these services, moto
does not know the resource of a call, and would refuse a permission that is limited to an ARN. The assignments to
`_determine_resource` add that. moto does not check kms:Decrypt.
"""

import json
from contextlib import contextmanager

import boto3
from checks import expect
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.server import ThreadedMotoServer
from moto.sns.models import sns_backends
from moto.sns.responses import SNSResponse
from moto.ssm.responses import SimpleSystemManagerResponse
from running import Function, Hub, sample, webhook
from template import Stack
from werkzeug.exceptions import HTTPException

SecretsManagerResponse._determine_resource = lambda call: json.loads(call.body).get("SecretId", "*")
SNSResponse._determine_resource = lambda call: call.data.get("TopicArn", ["*"])[0]
SimpleSystemManagerResponse._determine_resource = lambda call: json.loads(call.body).get("Name", "*")

# The reasons of moto's refusals. moto always responds in XML, so the function can only show the status.
REFUSALS = []
authorize = ActionAuthenticatorMixin._authenticate_and_authorize_normal_action


def authorize_and_note(call, resource="*"):
    try:
        authorize(call, resource)
    except HTTPException as refusal:
        REFUSALS.append(type(refusal).__name__)
        raise


ActionAuthenticatorMixin._authenticate_and_authorize_normal_action = authorize_and_note

PARAMETER = "/doorman/webhook"


def check():
    with Hub() as hub, Aws(hub) as aws:
        check_start(hub, aws)
        check_access(hub, aws)
        check_digest(hub, aws)


class Aws:
    """moto, with the token and the webhook's secret stored in it."""

    def __init__(self, hub):
        self.token, self.secret = hub.settings["HF_TOKEN"], hub.settings["WEBHOOK_SECRET"]

    def __enter__(self):
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.clients = {
            name: boto3.client(name, endpoint_url=self.url) for name in ("secretsmanager", "ssm", "sns", "iam", "sts")
        }
        with without_permission_checks():
            text = json.dumps({"note": "of the doorman", "token": self.token})
            secret = self.clients["secretsmanager"].create_secret(Name="doorman", SecretString=text)
            self.clients["ssm"].put_parameter(Name=PARAMETER, Value=self.secret, Type="SecureString")
            parameter = self.clients["ssm"].get_parameter(Name=PARAMETER)["Parameter"]
            topic, other = (self.clients["sns"].create_topic(Name=name) for name in ("owners", "others"))
        self.topic_arn, self.other_topic_arn = topic["TopicArn"], other["TopicArn"]
        self.secret_arn, self.parameter_arn = secret["ARN"], parameter["ARN"]
        return self

    def __exit__(self, *_):
        self.server.stop()

    def stack(self, hub, **others):
        """Returns a stack with the ARNs of both secrets."""
        arns = {"HfToken": f"{self.secret_arn}#token", "WebhookSecret": self.parameter_arn}
        return Stack(**hub.parameters(**arns | others))

    def credentials(self, stack):
        """Creates the role of the stack's function, with the template's policies only, and returns its credentials."""
        role, name = stack.properties("DoormanRole"), "doorman"
        iam = self.clients["iam"]
        with without_permission_checks():
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]))
            for policy in role["Policies"]:
                document = json.dumps(policy["PolicyDocument"])
                iam.put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
            arn = iam.get_role(RoleName=name)["Role"]["Arn"]
            assumed = self.clients["sts"].assume_role(RoleArn=arn, RoleSessionName="check")["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
            "AWS_SESSION_TOKEN": assumed["SessionToken"],
        }

    def drop_role(self):
        iam = self.clients["iam"]
        with without_permission_checks():
            for name in iam.list_role_policies(RoleName="doorman")["PolicyNames"]:
                iam.delete_role_policy(RoleName="doorman", PolicyName=name)
            iam.delete_role(RoleName="doorman")

    @contextmanager
    def function(self, hub, stack, allowed=None, **added):
        """Starts the stack's function with its role, or with the role of the stack `allowed`."""
        credentials = self.credentials(allowed or stack)
        try:
            with Function(stack, hub, AWS_ENDPOINT_URL=self.url, **credentials | added) as function:
                yield function
        finally:
            self.drop_role()


@contextmanager
def without_permission_checks():
    """Turns moto's checks of permissions off for the set-up. The function's calls are always checked."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
    try:
        yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        ActionAuthenticatorMixin.request_count = 0


def check_start(hub, aws):
    with aws.function(hub, aws.stack(hub)) as function:
        _, response = function.invoke(webhook(aws.secret))
        expect(response.get("statusCode") == 200, "the function reads both secrets with its role and accepts a webhook", response)
        _, response = function.invoke(sample("sweep"))
        is_reviewed = response.get("status") == "reviewed"
        expect(is_reviewed, "the function sweeps with a token under a key of a JSON object", response)
        _, response = function.invoke(webhook("wrong"))
        log = function.log()
        is_read_again = response.get("statusCode") == 401 and log.count("was refused, and read again") == 1
        expect(is_read_again, "the function reads the secret again after a wrong one was shown", log)


def check_access(hub, aws):
    stack = aws.stack(hub)
    other = aws.stack(hub, HfToken=aws.secret_arn[:-6] + "Others", WebhookSecret=aws.parameter_arn + "x")
    cases = {
        "a role for other ARNs": ("AccessDeniedError", {"allowed": other}),
        "a wrong secret access key": ("SignatureDoesNotMatchError", {"AWS_SECRET_ACCESS_KEY": "wrong"}),
        "a wrong session token": ("InvalidClientTokenIdError", {"AWS_SESSION_TOKEN": "wrong"}),
    }
    parts = ["HF_TOKEN", aws.secret_arn, "WEBHOOK_SECRET", aws.parameter_arn, "AWS answered 403"]
    expect(not REFUSALS, "moto has refused no call of the function so far", REFUSALS)
    for what, (refusal, options) in cases.items():
        REFUSALS.clear()
        expect_no_start(what, hub, aws, stack, parts, **options)
        expect(REFUSALS == [refusal] * 2, f"{what}: both calls were refused with {refusal}", REFUSALS)


def check_digest(hub, aws):
    """The digest is published to the topic of the stack. The role may not publish to another one."""
    # With a policy that cannot be used, the digest is due on every day.
    place = "hf://datasets/acme/missing/policy.toml"
    stack = aws.stack(hub, ApprovalPolicy=place, DigestHour="7", DigestTopic=aws.topic_arn)
    REFUSALS.clear()
    with aws.function(hub, stack) as function:
        _, response = function.invoke(sample("digest"))
    _, region, account = aws.topic_arn.split(":")[2:5]
    sent = list(sns_backends[account][region].topics[aws.topic_arn].sent_notifications)
    is_sent = response.get("status") == "sent" and len(sent) == 1 and "policy cannot be used" in sent[0][1]
    expect(is_sent and not REFUSALS, "the function publishes the digest with its role", f"{response} {sent} {REFUSALS}")
    with aws.function(hub, stack, DIGEST_TO=aws.other_topic_arn) as function:
        _, response = function.invoke(sample("digest"))
    is_refused = response.get("status") == "failed" and set(REFUSALS) == {"AccessDeniedError"}
    expect(is_refused, "the role may not publish to another topic", f"{response} {REFUSALS}")


def expect_no_start(what, hub, aws, stack, parts, **options):
    """Checks that the function does not start, and that its error has all these parts and no secret."""
    with aws.function(hub, stack, **options) as function:
        status, response = function.invoke(webhook(aws.secret))
        log = function.log()
    seen = f"{status} {response.get('errorMessage')}"
    is_explained = status == 502 and all(part in seen and part in log for part in parts)
    hidden = not any(value in seen + log for value in (aws.token, aws.secret))
    expect(is_explained and hidden, f"the function does not start with {what}: {seen!r}", f"{seen} {log}")
