"""The curves of a report, read from CloudWatch with the credentials of whoever runs the command."""

from dataclasses import replace
from datetime import timedelta

from bokgu.api.incident import Incident
from bokgu.api.observed import AwsError
from bokgu.aws.client import AwsClient
from bokgu.aws.series import fetch_sources
from bokgu.commands.report_plots import Measured, Window, build_inquiry, build_plots
from bokgu.commands.report_sources import Surroundings

NOT_PROTECTED = "there is no ProtectedService to say where the metrics are"
TOO_OLD = "CloudWatch keeps no datapoints of that age (455 days at most)"


async def fetch_measured(
    aws: AwsClient, incident: Incident | None, around: Surroundings, window: Window, minute: timedelta
) -> Measured:
    """What CloudWatch says of the time of the incident; what it does not answer has a problem in its place.

    No role is assumed: the account is that of the credentials, whatever the operator reads the service with.
    """
    protected = around.protected
    if protected is None:
        return Measured(window, problem=NOT_PROTECTED)
    inquiry = build_inquiry(incident, protected, around.detector, window, now=around.now, minute=minute)
    if inquiry is None:
        return Measured(window, problem=TOO_OLD)
    starts = dict.fromkeys(inquiry.sources, window.since)
    region = protected.spec.region
    try:
        answers = await fetch_sources(aws, starts, window.until, region=region, role_arn=None, bulk=False)
    except AwsError as error:
        return Measured(window, problem=str(error))
    return replace(build_plots(inquiry, incident, answers), other_role=protected.spec.role_arn)
