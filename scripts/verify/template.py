"""Resolves template.yaml with given parameters, after SAM's transform, as CloudFormation does.

No tool does this without an AWS account: moto ignores function URLs, schedules and alarms.
"""

import re
from types import SimpleNamespace

from checks import NotOk
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform
from tools import ROOT

REGION, ACCOUNT, STACK = "eu-central-1", "123456789012", "hub-doorman"
NO_VALUE = object()

# For each type of resource, the property with its name and the format of its ARN.
NAMES = {
    "AWS::CloudWatch::Alarm": ("AlarmName", f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{{}}"),
    "AWS::IAM::Role": ("RoleName", f"arn:aws:iam::{ACCOUNT}:role/{{}}"),
    "AWS::Lambda::Function": ("FunctionName", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}"),
    "AWS::Logs::LogGroup": ("LogGroupName", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*"),
    "AWS::SQS::Queue": ("QueueName", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{}}"),
}


class Refused(Exception):
    """CloudFormation would refuse the value of a parameter."""


class Stack:
    """The stack to be deployed. In `resources` and `outputs`, every intrinsic function is resolved.

    The source is template.yaml, which SAM transforms, or the template of `doorman deploy`.
    """

    def __init__(self, *, transformed=None, **parameters):
        source = transformed or yaml_parse((ROOT / "template.yaml").read_text())
        self.parameters = {name: parameter_value(name, about, parameters) for name, about in source["Parameters"].items()}
        self.source = source
        self.check_rules()
        if not transformed:
            # `sam package` does the same.
            source["Resources"]["Doorman"]["Properties"]["CodeUri"] = "s3://bucket/key"
            self.source = transform(source, dict(self.parameters), SimpleNamespace(load=dict))
        existing = {name: about for name, about in self.source["Resources"].items() if self.exists(about)}
        self.resources = {name: self.resolve(about) for name, about in existing.items()}
        outputs = {name: about for name, about in self.source["Outputs"].items() if self.exists(about)}
        self.outputs = self.resolve(outputs)

    def check_rules(self):
        for rule in self.source["Rules"].values():
            for assertion in rule["Assertions"]:
                if not self.holds(assertion["Assert"]):
                    raise Refused(assertion["AssertDescription"])

    def properties(self, name):
        return self.resources[name]["Properties"]

    def of_type(self, kind):
        return {name: about["Properties"] for name, about in self.resources.items() if about["Type"] == kind}

    def exists(self, resource):
        return "Condition" not in resource or self.holds(resource["Condition"])

    def holds(self, condition):
        if isinstance(condition, str):
            return self.holds(self.source["Conditions"][condition])
        ((function, argument),) = condition.items()
        match function:
            case "Condition":
                return self.holds(argument)
            case "Fn::Equals":
                return self.resolve(argument[0]) == self.resolve(argument[1])
            case "Fn::Not":
                return not self.holds(argument[0])
            case "Fn::And":
                return all(map(self.holds, argument))
            case "Fn::Or":
                return any(map(self.holds, argument))
        raise NotOk(f"the template: the condition function {function} is not supported here; add it to Stack.holds")

    def resolve(self, value):
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref" or function.startswith("Fn::"):
                return self.call(function, argument)
        resolved = {name: self.resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not NO_VALUE}

    def call(self, function, argument):
        match function:
            case "Ref":
                return self.reference(argument)
            case "Fn::GetAtt":
                return self.attribute(*(argument if isinstance(argument, list) else argument.split(".", 1)))
            case "Fn::If":
                return self.resolve(argument[1] if self.holds(argument[0]) else argument[2])
            case "Fn::Select":
                return self.resolve(argument[1])[int(argument[0])]
            case "Fn::Split":
                return self.resolve(argument[1]).split(argument[0])
            case "Fn::FindInMap":
                return self.source["Mappings"][argument[0]][self.resolve(argument[1])][argument[2]]
            case "Fn::Sub":
                return self.substitute(*([argument] if isinstance(argument, str) else argument))
        raise NotOk(f"the template: the function {function} is not supported here; add it to Stack.call")

    def substitute(self, text, values=None):
        values = self.resolve(values or {})

        def value(found):
            name = found[1]
            if name in values:
                return str(values[name])
            return str(self.attribute(*name.split(".", 1)) if "." in name else self.reference(name))

        return re.sub(r"\$\{([^!}]+)\}", value, text)

    def reference(self, name):
        pseudo = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::StackName": STACK, "AWS::Partition": "aws"}
        pseudo["AWS::NoValue"] = NO_VALUE
        if name in pseudo:
            return pseudo[name]
        return self.parameters[name] if name in self.parameters else self.name(name)

    def name(self, resource):
        """Returns a name in the format of CloudFormation's names."""
        about = self.source["Resources"][resource]
        if not self.exists(about):
            raise NotOk(f"the template: a reference to {resource}, which does not exist with these parameters")
        named_by, _ = NAMES.get(about["Type"], (None, None))
        name = about.get("Properties", {}).get(named_by)
        return self.resolve(name) if name else f"{STACK}-{resource}-a1B2c3D4e5F6"

    def attribute(self, resource, attribute):
        name = self.name(resource)
        if attribute == "Arn":
            _, arn = NAMES[self.source["Resources"][resource]["Type"]]
            return arn.format(name)
        return f"{name}.{attribute}"


def parameter_value(name, about, parameters):
    """Returns the value of a parameter, or its default. Raises `Refused` if CloudFormation would refuse it."""
    value = str(parameters.get(name, about.get("Default")))
    if name not in parameters and "Default" not in about:
        raise Refused(f"{name} is required")
    # CloudFormation matches the whole value.
    if "AllowedPattern" in about and not re.fullmatch(about["AllowedPattern"], value):
        raise Refused(f"{name} does not match its pattern")
    if "AllowedValues" in about and value not in map(str, about["AllowedValues"]):
        raise Refused(f"{name} is not one of its allowed values")
    if not int(about.get("MinLength", 0)) <= len(value) <= int(about.get("MaxLength", 4096)):
        raise Refused(f"{name} has {len(value)} characters")
    if about["Type"] == "Number" and not float(about.get("MinValue", 0)) <= float(value) <= float(
        about.get("MaxValue", "inf")
    ):
        raise Refused(f"{name} is out of range")
    return value
