"""Pages of lists, and the tokens that lead from one to the next."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from .errors import AwsError

Item = TypeVar("Item")


def write_token(offset: int) -> str:
    """The token for a page that begins at `offset`."""
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def read_token(token: str | None, code: str = "InvalidNextToken") -> int:
    """The offset that `token` stands for, 0 without one; AwsError `code` when it is none of ours."""
    try:
        return int(base64.b64decode(token, altchars=b"-_", validate=True)) if token else 0
    except (binascii.Error, ValueError) as error:
        raise AwsError(code, "The next token is not valid.", query_code=code) from error


def cut_page(
    items: Sequence[Item], token: str | None, size: int, code: str = "InvalidNextToken"
) -> tuple[list[Item], str | None]:
    """The page of at most `size` items that `token` stands for, and the token of the next; None at the end."""
    offset = read_token(token, code)
    following = offset + size
    return list(items[offset:following]), write_token(following) if following < len(items) else None
