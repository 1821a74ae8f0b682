"""Opens the history that the settings name."""

from bokgu.aws.client import AwsClient
from bokgu.config import HistoryBackend, Settings
from bokgu.history.cluster import ClusterHistory
from bokgu.history.dynamodb import TableHistory
from bokgu.history.interface import Archive
from bokgu.kube.client import KubeClient


def open_history(settings: Settings, kube: KubeClient, aws: AwsClient) -> Archive:
    """The backend of `BOKGU_HISTORY`; nothing is asked of it yet."""
    if settings.history is HistoryBackend.DYNAMODB:
        return open_tables(settings, aws)
    return ClusterHistory(kube)


def open_tables(settings: Settings, aws: AwsClient) -> TableHistory:
    """The tables of the settings, whatever `BOKGU_HISTORY` says."""
    return TableHistory(
        aws,
        prefix=settings.history_table_prefix,
        region=settings.history_region,
        role_arn=settings.history_role_arn,
        lifetime=settings.history_lifetime,
    )
