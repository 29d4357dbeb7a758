"""The AWS managed policies that every account can attach: what each allows, in the words of the policy language.

Source: AWS managed policy reference guide. A policy that is not here does not exist, rather than exist and mean nothing.
"""

from typing import Any

Statement = dict[str, Any]


def _allow(*actions: str, on: str | list[str] = "*", when: Statement | None = None, sid: str = "") -> Statement:
    statement: Statement = {"Sid": sid} if sid else {}
    statement |= {"Effect": "Allow", "Action": list(actions) if len(actions) > 1 else actions[0], "Resource": on}
    if when is not None:
        statement["Condition"] = when
    return statement


def _passed_to(*services: str) -> Statement:
    passed = services[0] if len(services) == 1 else list(services)
    return _allow("iam:PassRole", when={"StringEquals": {"iam:PassedToService": passed}})


_LOGS_WRITE = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
_NETWORK_INTERFACES = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
_LAMBDA_FULL = [
    _allow(
        "cloudformation:DescribeStacks",
        "cloudformation:ListStackResources",
        "cloudwatch:ListMetrics",
        "cloudwatch:GetMetricData",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "kms:ListAliases",
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:ListRolePolicies",
        "iam:ListRoles",
        "lambda:*",
        "logs:DescribeLogGroups",
        "states:DescribeStateMachine",
        "states:ListStateMachines",
        "tag:GetResources",
        "xray:GetTraceSummaries",
        "xray:BatchGetTraces",
    ),
    _passed_to("lambda.amazonaws.com"),
    _allow(
        "logs:DescribeLogStreams",
        "logs:GetLogEvents",
        "logs:FilterLogEvents",
        on="arn:aws:logs:*:*:log-group:/aws/lambda/*",
    ),
]
_LAMBDA_READ = [
    _allow(
        "cloudformation:DescribeStacks",
        "cloudformation:ListStacks",
        "cloudformation:ListStackResources",
        "cloudwatch:GetMetricData",
        "cloudwatch:ListMetrics",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "kms:ListAliases",
        "iam:GetPolicy",
        "iam:GetPolicyVersion",
        "iam:GetRole",
        "iam:GetRolePolicy",
        "iam:ListAttachedRolePolicies",
        "iam:ListRolePolicies",
        "iam:ListRoles",
        "logs:DescribeLogGroups",
        "lambda:Get*",
        "lambda:List*",
        "states:DescribeStateMachine",
        "states:ListStateMachines",
        "tag:GetResources",
        "xray:GetTraceSummaries",
        "xray:BatchGetTraces",
    ),
    _allow(
        "logs:DescribeLogStreams",
        "logs:GetLogEvents",
        "logs:FilterLogEvents",
        on="arn:aws:logs:*:*:log-group:/aws/lambda/*",
    ),
]
_EVENTBRIDGE_FULL = [
    _allow("events:*", "schemas:*", "scheduler:*", "pipes:*", sid="EventBridgeActions"),
    _allow(
        "iam:CreateServiceLinkedRole",
        on="arn:aws:iam::*:role/aws-service-role/apidestinations.events.amazonaws.com/*",
        when={"StringEquals": {"iam:AWSServiceName": "apidestinations.events.amazonaws.com"}},
        sid="IAMCreateServiceLinkedRoleForApiDestinations",
    ),
    _allow(
        "secretsmanager:CreateSecret",
        "secretsmanager:UpdateSecret",
        "secretsmanager:DeleteSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        on="arn:aws:secretsmanager:*:*:secret:events!*",
        sid="SecretsManagerAccessForApiDestinations",
    ),
    _allow(
        "iam:PassRole",
        on="arn:aws:iam::*:role/*",
        when={
            "StringLike": {
                "iam:PassedToService": ["events.amazonaws.com", "scheduler.amazonaws.com", "pipes.amazonaws.com"]
            }
        },
        sid="IAMPassRoleAccessForEventBridge",
    ),
]
_DYNAMODB_READ = _allow(
    "dynamodb:BatchGetItem",
    "dynamodb:Describe*",
    "dynamodb:List*",
    "dynamodb:GetAbacStatus",
    "dynamodb:GetItem",
    "dynamodb:GetResourcePolicy",
    "dynamodb:Query",
    "dynamodb:Scan",
    "dynamodb:PartiQLSelect",
    "dax:Describe*",
    "dax:List*",
    "dax:GetItem",
    "dax:BatchGetItem",
    "dax:Query",
    "dax:Scan",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "iam:GetRole",
    "iam:ListRoles",
    "kms:DescribeKey",
    "kms:ListAliases",
    "sns:ListSubscriptionsByTopic",
    "sns:ListTopics",
    "lambda:ListFunctions",
    "lambda:ListEventSourceMappings",
    "lambda:GetFunctionConfiguration",
    "resource-groups:ListGroups",
    "resource-groups:GetGroup",
    "tag:GetResources",
    "kinesis:ListStreams",
    "kinesis:DescribeStream",
    "kinesis:DescribeStreamSummary",
)
_READ_ONLY_SERVICES = (
    "apigateway:GET",
    "cloudformation:Describe*",
    "cloudformation:Get*",
    "cloudformation:List*",
    "cloudwatch:Describe*",
    "cloudwatch:Get*",
    "cloudwatch:List*",
    "cognito-identity:Describe*",
    "cognito-identity:Get*",
    "cognito-identity:List*",
    "cognito-idp:Describe*",
    "cognito-idp:List*",
    "dynamodb:BatchGet*",
    "dynamodb:Describe*",
    "dynamodb:Get*",
    "dynamodb:List*",
    "dynamodb:PartiQLSelect",
    "dynamodb:Query",
    "dynamodb:Scan",
    "ec2:Describe*",
    "ec2:Get*",
    "ecr:BatchCheck*",
    "ecr:BatchGet*",
    "ecr:Describe*",
    "ecr:Get*",
    "ecr:List*",
    "elasticloadbalancing:Describe*",
    "events:Describe*",
    "events:List*",
    "events:Test*",
    "firehose:Describe*",
    "firehose:List*",
    "iam:Generate*",
    "iam:Get*",
    "iam:List*",
    "iam:Simulate*",
    "kinesis:Describe*",
    "kinesis:Get*",
    "kinesis:List*",
    "kms:Describe*",
    "kms:Get*",
    "kms:List*",
    "lambda:Get*",
    "lambda:List*",
    "logs:Describe*",
    "logs:FilterLogEvents",
    "logs:Get*",
    "logs:ListTagsForResource",
    "logs:StartQuery",
    "logs:StopQuery",
    "logs:TestMetricFilter",
    "pipes:DescribePipe",
    "pipes:ListPipes",
    "pipes:ListTagsForResource",
    "s3:DescribeJob",
    "s3:Get*",
    "s3:List*",
    "scheduler:GetSchedule",
    "scheduler:GetScheduleGroup",
    "scheduler:ListScheduleGroups",
    "scheduler:ListSchedules",
    "schemas:Describe*",
    "schemas:Get*",
    "schemas:List*",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "secretsmanager:List*",
    "sns:Check*",
    "sns:Get*",
    "sns:List*",
    "sqs:Get*",
    "sqs:List*",
    "sqs:Receive*",
    "ssm:Describe*",
    "ssm:Get*",
    "ssm:List*",
    "states:Describe*",
    "states:GetExecutionHistory",
    "states:List*",
    "sts:GetAccessKeyInfo",
    "sts:GetCallerIdentity",
    "sts:GetSessionToken",
    "tag:Get*",
    "xray:BatchGet*",
    "xray:Get*",
)

DOCUMENTS: dict[str, tuple[str, list[Statement]]] = {
    "AdministratorAccess": ("/", [_allow("*")]),
    "PowerUserAccess": (
        "/",
        [
            {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
            _allow(
                "account:GetAccountInformation",
                "account:GetPrimaryEmail",
                "account:ListRegions",
                "iam:CreateServiceLinkedRole",
                "iam:DeleteServiceLinkedRole",
                "iam:ListRoles",
                "organizations:DescribeOrganization",
            ),
        ],
    ),
    "ReadOnlyAccess": ("/", [_allow(*_READ_ONLY_SERVICES, sid="ReadOnlyActionsGroup1")]),
    "IAMFullAccess": (
        "/",
        [
            _allow(
                "iam:*",
                "organizations:DescribeAccount",
                "organizations:DescribeOrganization",
                "organizations:DescribeOrganizationalUnit",
                "organizations:DescribePolicy",
                "organizations:ListChildren",
                "organizations:ListParents",
                "organizations:ListPoliciesForTarget",
                "organizations:ListRoots",
                "organizations:ListPolicies",
                "organizations:ListTargetsForPolicy",
            )
        ],
    ),
    "IAMReadOnlyAccess": (
        "/",
        [
            _allow(
                "iam:GenerateCredentialReport",
                "iam:GenerateServiceLastAccessedDetails",
                "iam:Get*",
                "iam:List*",
                "iam:SimulateCustomPolicy",
                "iam:SimulatePrincipalPolicy",
            )
        ],
    ),
    "IAMUserChangePassword": (
        "/",
        [
            _allow("iam:ChangePassword", on=["arn:aws:iam::*:user/${aws:username}"]),
            _allow("iam:GetAccountPasswordPolicy"),
        ],
    ),
    "AmazonS3FullAccess": ("/", [_allow("s3:*", "s3-object-lambda:*")]),
    "AmazonS3ReadOnlyAccess": (
        "/",
        [_allow("s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*", "s3-object-lambda:List*")],
    ),
    "AmazonDynamoDBReadOnlyAccess": ("/", [_DYNAMODB_READ]),
    "AmazonDynamoDBFullAccess_v2": (
        "/",
        [
            _allow(
                "dynamodb:*",
                "dax:*",
                "application-autoscaling:*",
                "cloudwatch:*",
                "iam:GetRole",
                "iam:ListRoles",
                "kms:DescribeKey",
                "kms:ListAliases",
                "kinesis:ListStreams",
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
            )
        ],
    ),
    "AmazonDynamoDBFullAccess": (
        "/",
        [
            _allow(
                "dynamodb:*",
                "dax:*",
                "application-autoscaling:*",
                "cloudwatch:*",
                "iam:GetRole",
                "iam:ListRoles",
                "kms:DescribeKey",
                "kms:ListAliases",
                "sns:*",
                "lambda:*",
                "resource-groups:*",
                "tag:GetResources",
                "kinesis:ListStreams",
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
            ),
            _passed_to("application-autoscaling.amazonaws.com", "dax.amazonaws.com"),
        ],
    ),
    "AmazonSQSFullAccess": ("/", [_allow("sqs:*")]),
    "AmazonSQSReadOnlyAccess": (
        "/",
        [
            _allow(
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ListDeadLetterSourceQueues",
                "sqs:ListQueues",
                "sqs:ListMessageMoveTasks",
                "sqs:ListQueueTags",
            )
        ],
    ),
    "AmazonSNSFullAccess": ("/", [_allow("sns:*")]),
    "AmazonSNSReadOnlyAccess": ("/", [_allow("sns:GetTopicAttributes", "sns:List*")]),
    "AmazonKinesisFullAccess": ("/", [_allow("kinesis:*")]),
    "AmazonKinesisReadOnlyAccess": ("/", [_allow("kinesis:Get*", "kinesis:List*", "kinesis:Describe*")]),
    "AmazonKinesisFirehoseFullAccess": ("/", [_allow("firehose:*")]),
    "AmazonEventBridgeFullAccess": ("/", _EVENTBRIDGE_FULL),
    "AWSLambda_FullAccess": ("/", _LAMBDA_FULL),
    "AWSLambda_ReadOnlyAccess": ("/", _LAMBDA_READ),
    "AWSLambdaExecute": (
        "/",
        [_allow("logs:*", on="arn:aws:logs:*:*:*"), _allow("s3:GetObject", "s3:PutObject", on="arn:aws:s3:::*")],
    ),
    "AWSLambdaInvocation-DynamoDB": (
        "/",
        [
            _allow("lambda:InvokeFunction"),
            _allow(
                "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"
            ),
        ],
    ),
    "AWSStepFunctionsFullAccess": ("/", [_allow("states:*")]),
    "AWSStepFunctionsReadOnlyAccess": (
        "/",
        [
            _allow(
                "states:ListStateMachines",
                "states:ListActivities",
                "states:DescribeStateMachine",
                "states:DescribeStateMachineForExecution",
                "states:ListExecutions",
                "states:DescribeExecution",
                "states:GetExecutionHistory",
                "states:DescribeActivity",
                "states:ListTagsForResource",
                "states:DescribeMapRun",
                "states:ListMapRuns",
                "states:DescribeStateMachineAlias",
                "states:ListStateMachineAliases",
                "states:ListStateMachineVersions",
            )
        ],
    ),
    "AWSCloudFormationFullAccess": ("/", [_allow("cloudformation:*")]),
    "AWSXrayFullAccess": ("/", [_allow("xray:*")]),
    "AWSXRayDaemonWriteAccess": (
        "/",
        [
            _allow(
                "xray:PutTraceSegments",
                "xray:PutTelemetryRecords",
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:GetSamplingStatisticSummaries",
            )
        ],
    ),
    "CloudWatchFullAccess": (
        "/",
        [
            _allow(
                "autoscaling:Describe*",
                "cloudwatch:*",
                "logs:*",
                "sns:*",
                "iam:GetPolicy",
                "iam:GetPolicyVersion",
                "iam:GetRole",
                "oam:ListSinks",
            )
        ],
    ),
    "CloudWatchLogsFullAccess": (
        "/",
        [_allow("logs:*", "cloudwatch:GenerateQuery", "cloudwatch:GenerateQueryResultsSummary")],
    ),
    "CloudWatchLogsReadOnlyAccess": (
        "/",
        [
            _allow(
                "logs:Describe*",
                "logs:Get*",
                "logs:List*",
                "logs:StartQuery",
                "logs:StopQuery",
                "logs:TestMetricFilter",
                "logs:FilterLogEvents",
                "logs:StartLiveTail",
                "logs:StopLiveTail",
                "cloudwatch:GenerateQuery",
            )
        ],
    ),
    "SecretsManagerReadWrite": (
        "/",
        [
            _allow(
                "secretsmanager:*",
                "cloudformation:CreateChangeSet",
                "cloudformation:DescribeChangeSet",
                "cloudformation:DescribeStackResource",
                "cloudformation:DescribeStacks",
                "cloudformation:ExecuteChangeSet",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
                "kms:DescribeKey",
                "kms:ListAliases",
                "kms:ListKeys",
                "lambda:ListFunctions",
                "tag:GetResources",
            ),
            _allow("s3:GetObject", on=["arn:aws:s3:::awsserverlessrepo-changesets*"]),
        ],
    ),
    "AmazonSSMReadOnlyAccess": ("/", [_allow("ssm:Describe*", "ssm:Get*", "ssm:List*")]),
    "AmazonSSMFullAccess": (
        "/",
        [_allow("cloudwatch:PutMetricData", "ds:CreateComputer", "ds:DescribeDirectories", "logs:*", "ssm:*")],
    ),
    "AmazonCognitoPowerUser": (
        "/",
        [
            _allow(
                "cognito-idp:*",
                "cognito-identity:*",
                "cognito-sync:*",
                "iam:ListRoles",
                "iam:GetRole",
                "sns:ListPlatformApplications",
            )
        ],
    ),
    "AmazonAPIGatewayAdministrator": ("/", [_allow("apigateway:*", on="arn:aws:apigateway:*::/*")]),
    "AmazonAPIGatewayInvokeFullAccess": (
        "/",
        [_allow("execute-api:Invoke", "execute-api:ManageConnections", on="arn:aws:execute-api:*:*:*")],
    ),
    "AmazonAPIGatewayPushToCloudWatchLogs": (
        "/service-role/",
        [
            _allow(
                *_LOGS_WRITE,
                "logs:DescribeLogGroups",
                "logs:DescribeLogStreams",
                "logs:GetLogEvents",
                "logs:FilterLogEvents",
            )
        ],
    ),
    "AWSLambdaBasicExecutionRole": ("/service-role/", [_allow(*_LOGS_WRITE)]),
    "AWSLambdaRole": ("/service-role/", [_allow("lambda:InvokeFunction")]),
    "AWSLambdaVPCAccessExecutionRole": (
        "/service-role/",
        [_allow(*_LOGS_WRITE, *_NETWORK_INTERFACES, sid="AWSLambdaVPCAccessExecutionPermissions")],
    ),
    "AWSLambdaENIManagementAccess": ("/service-role/", [_allow(*_NETWORK_INTERFACES)]),
    "AWSLambdaSQSQueueExecutionRole": (
        "/service-role/",
        [_allow("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", *_LOGS_WRITE)],
    ),
    "AWSLambdaDynamoDBExecutionRole": (
        "/service-role/",
        [
            _allow(
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
                *_LOGS_WRITE,
            )
        ],
    ),
    "AWSLambdaKinesisExecutionRole": (
        "/service-role/",
        [
            _allow(
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:ListShards",
                "kinesis:ListStreams",
                "kinesis:SubscribeToShard",
                *_LOGS_WRITE,
            )
        ],
    ),
    "AmazonS3ObjectLambdaExecutionRolePolicy": (
        "/service-role/",
        [_allow(*_LOGS_WRITE, "s3-object-lambda:WriteGetObjectResponse")],
    ),
    "CloudWatchLambdaInsightsExecutionRolePolicy": (
        "/",
        [
            _allow("logs:CreateLogGroup"),
            _allow("logs:CreateLogStream", "logs:PutLogEvents", on="arn:aws:logs:*:*:log-group:/aws/lambda-insights:*"),
        ],
    ),
}
