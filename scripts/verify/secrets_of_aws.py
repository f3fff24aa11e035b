"""The function reads its secrets from Secrets Manager and SSM, for which moto stands, in the template's role.

moto verifies each signature, with botocore's code, and the policies of the role that signed. Of these two services it
does not know which resource a call is about, and would refuse whatever is allowed for an ARN only; that is added here.
It does not ask for kms:Decrypt.
"""

import json
from contextlib import contextmanager

import boto3
from checks import expect
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.server import ThreadedMotoServer
from moto.ssm.responses import SimpleSystemManagerResponse
from running import Function, Hub, failed, sample, webhook
from template import Stack
from werkzeug.exceptions import HTTPException

SecretsManagerResponse._determine_resource = lambda call: json.loads(call.body).get("SecretId", "*")
SimpleSystemManagerResponse._determine_resource = lambda call: json.loads(call.body).get("Name", "*")

# Why moto refused calls. It answers in XML, whatever the service is, of which the function shows the status only.
REFUSALS = []
authorize = ActionAuthenticatorMixin._authenticate_and_authorize_normal_action


def authorize_and_note(call, resource="*"):
    try:
        authorize(call, resource)
    except HTTPException as refusal:
        REFUSALS.append(type(refusal).__name__)
        raise


ActionAuthenticatorMixin._authenticate_and_authorize_normal_action = authorize_and_note

WRONG_TOKEN = "hf_ThisOneTheHubDoesNotKnow"
NEW_SECRET = "a-new-secret-of-the-webhook"
PARAMETER = "/doorman/webhook"


def check():
    with Hub() as hub, Aws(hub) as aws:
        check_start(hub, aws)
        check_rotation_of_token(hub, aws)
        check_rotation_of_secret(hub, aws)
        check_missing(hub, aws)
        check_access(hub, aws)


class Aws:
    """moto, with the token and the webhook's secret in it."""

    def __init__(self, hub):
        self.token, self.secret = hub.settings["HF_TOKEN"], hub.settings["WEBHOOK_SECRET"]

    def __enter__(self):
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.clients = {
            name: boto3.client(name, endpoint_url=self.url) for name in ("secretsmanager", "ssm", "iam", "sts")
        }
        with anything_goes():
            kept = self.clients["secretsmanager"].create_secret(Name="doorman", SecretString="{}")
        self.put_token(self.token)
        self.put_secret(self.secret)
        with anything_goes():
            parameter = self.clients["ssm"].get_parameter(Name=PARAMETER)["Parameter"]
        self.secret_arn, self.parameter_arn = kept["ARN"], parameter["ARN"]
        return self

    def __exit__(self, *_):
        self.server.stop()

    def put_token(self, token):
        with anything_goes():
            text = json.dumps({"note": "of the doorman", "token": token})
            self.clients["secretsmanager"].put_secret_value(SecretId="doorman", SecretString=text)

    def put_secret(self, secret):
        with anything_goes():
            self.clients["ssm"].put_parameter(Name=PARAMETER, Value=secret, Type="SecureString", Overwrite=True)

    def stack(self, hub, **others):
        """One with the ARNs of both."""
        arns = {"HfToken": f"{self.secret_arn}#token", "WebhookSecret": self.parameter_arn}
        return Stack(**hub.parameters(**arns | others))

    def credentials(self, stack):
        """Those of somebody in the role of the stack's function, with the template's policies and no others."""
        about, name = stack.properties("DoormanRole"), "doorman"
        iam = self.clients["iam"]
        with anything_goes():
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(about["AssumeRolePolicyDocument"]))
            for policy in about["Policies"]:
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
        with anything_goes():
            for name in iam.list_role_policies(RoleName="doorman")["PolicyNames"]:
                iam.delete_role_policy(RoleName="doorman", PolicyName=name)
            iam.delete_role(RoleName="doorman")

    @contextmanager
    def function(self, hub, stack, allowed=None, **added):
        """The stack's function in its role, or with the role of another stack."""
        credentials = self.credentials(allowed or stack)
        try:
            with Function(stack, hub, AWS_ENDPOINT_URL=self.url, **credentials | added) as function:
                yield function
        finally:
            self.drop_role()


@contextmanager
def anything_goes():
    """Only what is set up here goes unchecked; the function's calls never do."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
    try:
        yield
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        ActionAuthenticatorMixin.request_count = 0


def check_start(hub, aws):
    with aws.function(hub, aws.stack(hub)) as function:
        _, answer = function.invoke(webhook(aws.secret))
        expect(answer.get("statusCode") == 200, "in its role it reads both secrets and answers a webhook", answer)
        _, answer = function.invoke(sample("sweep"))
        expect(answer.get("status") == "reviewed", "and sweeps with the token from under a key", answer)


def check_rotation_of_token(hub, aws):
    aws.put_token(WRONG_TOKEN)
    with aws.function(hub, aws.stack(hub)) as function:
        answer = function.invoke(sample("sweep"))
        seen = json.dumps(answer)
        expect(failed(answer) and "401" in seen, "a token that the Hub refuses fails the sweep", seen)
    # Another process, because what was read again is not read again for a minute.
    with aws.function(hub, aws.stack(hub)) as function:
        _, answer = function.invoke(webhook(aws.secret))
        expect(answer.get("statusCode") == 200, "with that token it starts", answer)
        aws.put_token(aws.token)
        _, answer = function.invoke(sample("sweep"))
        expect(answer.get("status") == "reviewed", "a token that was rotated works without a restart", answer)
        log = function.log()
        expect(log.count("was refused, and read again") == 1, "for which it was read again once", log)


def check_rotation_of_secret(hub, aws):
    with aws.function(hub, aws.stack(hub)) as function:
        _, answer = function.invoke(webhook(aws.secret))
        expect(answer.get("statusCode") == 200, "before a rotation the secret is the old one", answer)
        aws.put_secret(NEW_SECRET)
        _, answer = function.invoke(webhook(NEW_SECRET))
        expect(answer.get("statusCode") == 200, "a webhook's secret that was rotated works without a restart", answer)
        _, answer = function.invoke(webhook(aws.secret))
        expect(answer.get("statusCode") == 401, "and the old one does not", answer)
    aws.put_secret(aws.secret)


def check_missing(hub, aws):
    absent = aws.secret_arn.replace("secret:doorman", "secret:absent")
    parts = ["HF_TOKEN", absent, "ResourceNotFound"]
    expect_no_start("a secret that is not there", hub, aws, aws.stack(hub, HfToken=absent), parts)
    stack = aws.stack(hub, HfToken=f"{aws.secret_arn}#absent")
    expect_no_start("a key that is not there", hub, aws, stack, ["HF_TOKEN", aws.secret_arn, "under the key `absent`"])


def check_access(hub, aws):
    stack = aws.stack(hub)
    other = aws.stack(hub, HfToken=aws.secret_arn[:-6] + "Others", WebhookSecret=aws.parameter_arn + "x")
    cases = {
        "a role for other ARNs": ("AccessDeniedError", {"allowed": other}),
        "a wrong secret access key": ("SignatureDoesNotMatchError", {"AWS_SECRET_ACCESS_KEY": "wrong"}),
        "a wrong session token": ("InvalidClientTokenIdError", {"AWS_SESSION_TOKEN": "wrong"}),
    }
    parts = ["HF_TOKEN", aws.secret_arn, "WEBHOOK_SECRET", aws.parameter_arn, "AWS answered 403"]
    expect(not REFUSALS, "until here no call of the function was refused", REFUSALS)
    for what, (refusal, options) in cases.items():
        REFUSALS.clear()
        expect_no_start(what, hub, aws, stack, parts, **options)
        expect(REFUSALS == [refusal] * 2, f"{what}: both calls were refused with {refusal}", REFUSALS)


def expect_no_start(what, hub, aws, stack, parts, **options):
    """It says why it does not start, with all these parts, and shows no value."""
    with aws.function(hub, stack, **options) as function:
        status, answer = function.invoke(webhook(aws.secret))
        log = function.log()
    seen = f"{status} {answer.get('errorMessage')}"
    said = status == 502 and all(part in seen and part in log for part in parts)
    hidden = not any(value in seen + log for value in (aws.token, aws.secret, WRONG_TOKEN))
    expect(said and hidden, f"{what} keeps it from starting, and it says so: {seen!r}", f"{seen} {log}")
