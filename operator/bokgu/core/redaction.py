"""Redaction: quoted logs land in etcd, in chats and in Git, so what may be a secret is taken out of them first.

It takes out too much rather than too little. What is left: words, numbers, host names, ARNs, ids of tasks.
"""

import re

REDACTED = "[redacted]"

_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|session[_-]?id"
    r"|signature|authorization|cookie|otp)s?(?:[_-]?(?:id|key|value|hash))?"
)
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s"',;&)}\]]+)"""

_HEADER = re.compile(
    r"""(?ix) \b ((?:proxy-)?authorization | (?:set-)?cookie | x-api-key | x-auth-token | x-amz-security-token)
    (["']? \s* [:=] \s*+) (?!\[redacted\]) [^\r\n]+"""
)
"""The rest of the line goes: a header's value may hold spaces, commas and quotes."""
_PAIR = re.compile(
    rf"""(?ix) (?<![\w.:-]) (?!(?:expired|invalid|missing|unrecognized)[\w.-]*\s*:)
    (["']?{_NAME}["']?\s*[:=]\s*) (?!{re.escape(REDACTED)}) {_VALUE}"""
)
"""`name=value`, `"name": "value"`. Codes of AWS such as `ExpiredToken: …` are none, nor is `secret:` within an ARN."""
_SCHEME = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}")
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@]*:[^\s/@]*@")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_TOKENS = re.compile(
    r"""(?x)
    (?<![A-Za-z0-9])
    (?: (?:A3T[A-Z0-9]|ABIA|ACCA|AGPA|AIDA|AIPA|AKIA|ANPA|ANVA|AROA|ASIA)[A-Z0-9]{12,} # "IAM identifiers", unique ids
      | eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?                                            # JSON Web Token (RFC 7519)
      | gh[a-z]_\w{16,} | github_pat_\w{16,} | glpat-[\w-]{16,} | xox[a-z]-[\w-]{8,}
      | [sr]k_(?:live|test)_\w{8,} | AIza[\w-]{30,}
    )"""
)
_LONG = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9+/=_-])|[A-Za-z0-9_-]{40,}(?![A-Za-z0-9+/_-]))"
)
"""In Base64 of either alphabet (RFC 4648); a path mixes both."""
_DIGITS = re.compile(r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\w-])")


def redact(text: str) -> str:
    """The text with `[redacted]` in the place of what may be a secret or names a person: passwords, tokens, keys,
    authorization headers, user names in URLs, e-mail addresses, card numbers."""
    text = _PRIVATE_KEY.sub(REDACTED, text)
    text = _HEADER.sub(rf"\1\2{REDACTED}", text)
    text = _SCHEME.sub(rf"\1\2{REDACTED}", text)
    text = _URL.sub(rf"\1{REDACTED}@", text)
    text = _PAIR.sub(rf"\1{REDACTED}", text)
    text = _TOKENS.sub(REDACTED, text)
    text = _LONG.sub(lambda found: REDACTED if _looks_random(found[0]) else found[0], text)
    text = _EMAIL.sub(REDACTED, text)
    return _DIGITS.sub(lambda found: REDACTED if _is_card(found[0]) else found[0], text)


def _looks_random(word: str) -> bool:
    """Secret access keys and session tokens mix cases and digits; paths, ids and digests do not."""
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(kind(c) for c in word) for kind in kinds)


def _is_card(number: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812, Luhn)."""
    digits = [int(c) for c in number if c.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
