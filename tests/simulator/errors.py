"""The error every simulated AWS operation raises."""

from collections.abc import Mapping


class AwsError(Exception):
    """An error answer.

    `code` is the name of the shape in the service model (`ClientException`), or a common error such as
    `ThrottlingException`; `status` is the HTTP status; `query_code` is the code older protocols used, for
    services marked awsQueryCompatible; `members` are those of the error's shape besides the message.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 400,
        query_code: str | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.members = dict(members or {})
        self.code = code
        self.message = message
        self.status = status
        self.query_code = query_code
