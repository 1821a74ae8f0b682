"""Redaction: quoted logs land in etcd, in chats and in Git, so what may be a secret is taken out of them first.

It takes out too much rather than too little. What is left: words, numbers, host names, ARNs, ids of tasks. A name that
says what stands behind it (`DB_PASSWORD=…`) is looked for in all the ways in which programs print names and values;
what looks like a key is taken out wherever it stands. A word of the dictionary in running text ("the password was
swordfish") is not recognised.
"""

import re
from enum import Enum
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from bokgu.api.fields import bounded

REDACTED = "[redacted]"
LOOKED_AT = 1024
"""Characters of a text that are looked at before it is quoted: what a regular expression costs has a bound."""
_PASSES = 4
"""What one pass leaves may be read in another way; two are usual, the second of which changes nothing."""
_LONGEST_NAME = 128


class _Kind(Enum):
    """What a name says of its value."""

    LINE = "of any words, up to the end of the line"
    WORDS = "of any words, up to the next name"
    WORD = "one word"
    WEAK = "one word, where it looks like a secret"
    KEY = "one word, where it looks like a key: most keys are those of tables and caches"


# Names

_SUFFIX = (
    r"(?:[_.-]*(?:ids|id|keys|key|value|hash|base|old|new|production|prod|development|dev|staging|stage|test|qa|uat|live"
    r"|current|previous|prev|next|primary|secondary|main|backup|plain|text|raw|string|str|b64|hex|encrypted|enc"
    r"|confirmation|confirm|again|salt|pepper|hint|v?\d+))*+"
)
_HARMLESS = (
    r"ERROR|EXCEPTION|EXPIRED|INVALID|FAIL|COUNT|NAME|ARN|TYPE|TTL|EXPIR|TIMEOUT|LENGTH|SIZE|LIMIT|MAX|MIN|POLICY|UR[IL]"
    r"|HOST|PORT|PATH|FILE|DIR|ENABLE|REQUIRED|STATUS|PROVIDER|MANAGER|ENDPOINT|SERVICE|BUCKET|REGION|NOT|MISMATCH"
)
"""What, at the end of the name of an environment variable, says that its value is no secret."""
_OF_WORDS = (
    r"(?:pass_?words?|passwd|pass_?phrases?|pass_?code|pwd|(?<![a-z])(?:db|user|smtp|mail|root|admin|my|mysql|pg|rds|redis"
    r"|ftp|login|ldap|proxy|key|trust|store)?pass|(?<![a-z])(?:pin|pw))"
)
_OF_A_WORD = (
    r"(?:secrets?|tokens?|credentials?|signature|(?:session|sess|sas)[_.-]?(?:ids?|key)|sessid|(?:j|php)sessionid"
    r"|(?<![a-z])(?:otp|sid|o?auth)"
    r"|(?:api|access|private|secret|encrypt(?:ion)?|signing|sign|master|auth|account|shared|session|license|ssh|app"
    r"|application|client|service|aes|rsa|hmac|jwt|crypto|cipher|consumer|subscription|deploy|webhook|storage)"
    r"[_.-]*keys?)"
)
_HEADER = re.compile(
    r"(?:.*[_.-])?(?:authorization|cookies?)|x-api-key|x-auth-token|x-amz-security-token|x-vault-token"
)
_NAME_OF_WORDS = re.compile(rf"{_OF_WORDS}{_SUFFIX}$")
_NAME_OF_A_WORD = re.compile(rf"{_OF_A_WORD}{_SUFFIX}$")
_VARIABLE = re.compile(rf"(?:{_OF_WORDS}|{_OF_A_WORD})(?![a-z])(?!.*(?:{_HARMLESS.lower()})).*$")
_CODE = re.compile(r"^[_.-]*(?:expired|invalid|missing|unrecognized|wrong|bad|incorrect|unknown|no)[_.-]?[a-z]")
_BARE = re.compile(r"^[_.-]*(?:pass|pin|pw|o?auth|otp|sid)$")
_KEY_BEFORE = re.compile(r"(?i)\b(?:api|access|secret|private|encryption|signing|master|auth|license)\s$")
_PATH_BEFORE = re.compile(r"(?:^|[\s\"'(=])(?:[a-z][a-z0-9+.-]{0,30}:/)?/[^\s\"']*$")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_NAME = re.compile(r"(arn:aws[\w-]*+(?::[\w/+.@*-]*)++(?!=))|[\w.-]+")
"""Words, one of which may be the name of a secret. Nothing within an ARN is one."""

# What stands between a name and its value, and around the value

_QUOTE = r"""(?:\\*["'`]|\\+u002[27]|%2[27]|&quot;|&\#3[49];)"""
_VALUE_ATTRIBUTE = re.compile(
    rf"(?i)(?:{_QUOTE})?\s{{0,4}},?\s{{0,4}}(?:{_QUOTE})?value(?:{_QUOTE})?\s{{0,4}}[:=]\s{{0,4}}"
)
"""`{"name": "DB_PASSWORD", "value": "…"}`, `<input name="password" value="…">`."""
_SIGN = re.compile(
    rf"(?i)(?P<close>(?:{_QUOTE}|[\])]){{0,3}})\s{{0,8}}"
    r"(?P<sign>:=|=(?:>|\\+u003e|&gt;)|->|={1,3}|\\+u003d|:(?!:|//)|%3[ad])(?P<space>\s{0,8}(?:[|>][+-]?\s{1,16})?)"
)
_TUPLE = re.compile(rf"{_QUOTE}\s{{0,4}},\s{{0,4}}(?=[a-zA-Z]{{0,2}}{_QUOTE})")
_TAG = re.compile(r"(?:\s[^<>]{0,100})?(?:>|\\+u003e|&gt;)")
_TAG_BEFORE = re.compile(r"(?:<|\\+u003c|&lt;)(?:\w{1,20}:)?$|(?:<|&lt;)\w{1,20}:$")
_TAG_END = re.compile(r"<|\\+u003c|&lt;")
_OPENING = re.compile(rf"[a-zA-Z$@]{{0,2}}({_QUOTE})")
_BRACKET = re.compile(r"(?:&?[A-Za-z_][\w:.]{0,40}\s?)?[\[({]")
_WRAPPER = re.compile(rf"&?[A-Za-z_][\w:.]{{0,40}}\s?[\[({{]\s?(?=[a-zA-Z]{{0,2}}{_QUOTE})")
_MARK = re.compile(r"""\\.|["'\[({\])}]""")
_REST = re.compile(r"[^\s,;&)}\]]*")
_RUN = re.compile(r"""(?:(?!%2[267]|\\+u0026|\\+["'])[^\s"',;&)}\]<>])+""")
_NEXT_NAME = re.compile(r"[A-Za-z_][\w.\[\]-]{0,40}=(?![=\s]|$)")

_TROUBLE = (
    r"(?:failed|failure|refused|denied|rejected|timed out|timeout|error|unreachable|unavailable|exceeded|not found"
    r"|not set|could not|cannot|can't|unable to|connect(?:ion|ing)?|for user|ECONN[A-Z]{2,9}|ETIMEDOUT|ENOTFOUND"
    r"|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN|EPIPE)(?![\w-])|[A-Z][a-z]\w{1,60}(?:Exception|Error)(?=:\s)"
)
_STOP = re.compile(
    rf"""(?x) [\s,;]\s{{0,4}}(?=[A-Za-z_][\w.\[\]-]{{0,40}}=(?![=\s]|$)) | (?:&|&amp;)(?=[\w.%\[\]-]{{1,40}}=)
    | %26 | \\+u0026 | \s{{1,4}}(?={_TROUBLE}) | (?<!\\){_QUOTE}(?=\s{{0,4}}(?:[,}}\])]|$))"""
)
"""Where the words of a password end: at the next name, at the end of a string, or at the words that tell of trouble."""
_STOP_CLOSE = re.compile(r"\s{1,4}(?=[\w.-]{1,60}:\S)")
"""The same where names stand close to their values: `password:a b user:c`."""
_NOTHING = re.compile(
    rf"""(?x) (?:is\s)?(?:unbound|parameter|not|missing|required|must|field|undefined|unset|empty|expired|invalid
    |incorrect|wrong|mismatch(?:ed)?|[Rr]equired|[Ff]ield|[Mm]issing|context|dial|authentication|read|request|lookup)(?![^\s:,.])
    | (?:AccessDenied\w{{0,16}})(?=:) | {_TROUBLE}"""
)
"""What stands behind a name and is no value: `DB_PASSWORD: unbound variable`, `failed to get token: connection …`."""
_EMPTY = re.compile(
    r"(?:null|none|None|nil|undefined|true|false|True|False|failed|denied)(?=[\s,;&)}\]\"']|$)(?![\"'])"
)

_PROSE = re.compile(
    rf"(?:\s{{1,4}}(?:is|was|header|value|given|used|provided|string|set to|equals)\b){{0,2}}[\s:=]{{1,4}}(?:{_QUOTE})?"
)
_LOOSE = re.compile(r"(?i)pass|pwd|token|key")
_OPTION = re.compile(r"\s{1,4}(?!-)")
_SPACELESS = re.compile(r"\S{1,512}")
_ALGORITHM = re.compile(
    r"(?i)(?:scram-)?sha-?\d+(?:-plus)?|md5|oauth2?|bcrypt|argon2\w*|v?\d+(?:\.\d+)*(?:ms|s|m|h|px|%)?"
)
_PLACE = re.compile(r"/.*|(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|[\w-]+(?:\.[\w-]+)*:\d{2,5}|[\w-]+(?:\.[\w-]+){2,}|arn:.*")
_HEX_KEY = re.compile(r"[0-9a-fA-F]{32,}")

# What looks like a secret wherever it stands

_SCHEME = re.compile(
    r"(?i)\b(bearer|basic)(\s+)(?!authenti|authoriz|challenge|realm\b|scheme\b|tokens?\b)[A-Za-z0-9._~+/=-]{8,}"
)
_URL = re.compile(r"(?i)(?<![a-z0-9])([a-z][a-z0-9+.-]{0,30}://)([^\s\"'<>`]{1,512})")
_ORACLE = re.compile(
    r"(?i)(jdbc:oracle:\w{1,10}:|\bsqlplus (?:-\w{1,9} ){0,3})(?!\[redacted\])"
    r"[^\s\"'<>@]{1,256}(?:@[^\s\"'<>@]{1,256})*(?=@)"
)
_USER = re.compile(
    rf"""(?x) ((?<![\w-])(?:-u|-U|--user|--proxy-user)(?:[\s=]|{_QUOTE}){{0,5}})(?!\d+:\d+\b|\[redacted\])
    [^\s:"'=]{{1,128}}:[^\s"']{{1,256}}"""
)
_COMMANDS = tuple(
    re.compile(
        rf"""((?<![\w-])(?:{tools})\b[^\n]{{0,200}}?[\s"']-(?:{letters})(?:[\s=]|{_QUOTE}|,){{0,5}})(?!\[red)[^\s"',;]+"""
    )
    for tools, letters in (
        (r"mysql\w{0,12}|mariadb[\w-]{0,12}|sshpass|mongo\w{0,8}|docker login|docker\W{1,5}login", "p"),
        (r"redis-cli|valkey-cli", "a"),
        (r"sqlcmd|bcp", "P"),
        (r"ldap\w{1,10}", "w"),
    )
)
"""`mysql -pS`, `redis-cli -a S`."""
_HOOK = re.compile(
    r"(?i)(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/)[\w/.-]+"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)",
    re.DOTALL,
)
_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+|[\w+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"
)
_TOKENS = re.compile(
    r"""(?x)
    (?<![A-Za-z0-9])
    (?: (?:A3T[A-Z0-9]|ABIA|ACCA|AGPA|AIDA|AIPA|AKIA|ANPA|ANVA|AROA|ASIA)[A-Z0-9]{12,} # "IAM identifiers", unique ids
      | eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?                                            # JSON Web Token (RFC 7519)
      | gh[a-z]_\w{16,} | github_pat_\w{16,} | glpat-[\w-]{16,} | xox[a-z]-[\w-]{8,} | xapp-[\w-]{8,}
      | [sr]k_(?:live|test)_\w{8,} | whsec_\w{16,} | AIza[\w-]{30,} | ya29\.[\w-]{16,} | GOCSPX-[\w-]{16,}
      | hf_\w{16,} | npm_\w{30,} | pypi-\w[\w-]{30,} | sk-[\w-]{20,} | SG\.[\w-]{16,}\.[\w-]{16,}
      | hvs\.[\w-]{16,} | dop_v1_\w{16,} | shp(?:at|ss|ca|pa)_\w{16,} | AGE-SECRET-KEY-\w{16,}
      | \d{8,10}:AA[\w-]{30,}                                                           # Telegram
    )"""
)
_LONG = re.compile(
    r"(arn:aws[\w-]*+(?::[\w/+.@*-]*)++)|(?<![A-Za-z0-9+/_-])"
    r"(?:[A-Za-z0-9+/]{40,}={0,2}(?![A-Za-z0-9+/=_-])|[A-Za-z0-9_-]{40,}(?![A-Za-z0-9+/_-]))"
)
"""In Base64 of either alphabet (RFC 4648); a path mixes both."""
_DIGITS = re.compile(
    r"(?<![\w.-])(?:[3-6]\d{3}(?:[ -]?\d){9,15}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)(?:[ -]?\d){12}"
    r"|[2-6]\d{3}(?:\.\d{4}){2}\.\d{1,7})(?![\w-])"
)


def redact(text: str) -> str:
    """The text with `[redacted]` in the place of what may be a secret or names a person: passwords, tokens, keys,
    authorization headers, user names in URLs, e-mail addresses, card numbers.

    A text that shows something new to hide each time is hidden as a whole.
    """
    for _ in range(_PASSES):
        before, text = text, _redact_once(text)
        if text == before:
            return text
    return REDACTED


def redact_quote(text: str) -> str:
    """The text as it may be quoted: redacted, then cut to 300 characters. Of a long one only the begin is looked at, up
    to a space: a cut within a word could leave half a secret that nobody recognises."""
    text = text.strip()
    return bounded(redact(text if len(text) <= LOOKED_AT else text[:LOOKED_AT].rpartition(" ")[0] or REDACTED))


Foreign = Annotated[str, StringConstraints(max_length=2048), AfterValidator(redact_quote)]
"""Text that people or programs write who may not know where it goes. Whoever reads the object gets it redacted and cut
to 300 characters, so that nothing else is ever copied from it."""


def _redact_once(text: str) -> str:
    text = _PRIVATE_KEY.sub(REDACTED, text)
    text = _SCHEME.sub(rf"\1\2{REDACTED}", text)
    text = _URL.sub(_hide_user, text)
    for pattern in (_ORACLE, _USER, *_COMMANDS, _HOOK):
        text = pattern.sub(rf"\1{REDACTED}", text)
    text = _hide_values(text)
    text = _TOKENS.sub(REDACTED, text)
    text = _LONG.sub(lambda found: found[0] if found[1] or not _looks_random(found[0]) else REDACTED, text)
    text = _EMAIL.sub(REDACTED, text)
    return _DIGITS.sub(lambda found: REDACTED if _is_card(found[0]) else found[0], text)


def _hide_user(url: re.Match[str]) -> str:
    """The URL without its user; a password may hold `@` and `/`, and then the last `@` ends it."""
    scheme, rest = url.groups()
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, place = rest.rpartition("@")
    _, colon, port = authority.partition(":")
    if not at or user == REDACTED or ("@" not in authority and (not colon or re.fullmatch(r"\d{1,5}", port))):
        return url[0]
    return f"{scheme}{REDACTED}@{place}"


def _hide_values(text: str) -> str:
    """The text without the values that their names give away."""
    parts, done = [], 0
    for found in _NAME.finditer(text):
        if found[1] or found.start() < done or (kind := _classify(found[0])) is None:
            continue
        begin, end = _find_value(text, found, kind)
        if end > begin and not text.startswith(REDACTED, begin):
            parts += [text[done:begin], REDACTED]
            done = end
    return "".join(parts) + text[done:]


def _classify(name: str) -> _Kind | None:
    short = name[-_LONGEST_NAME:]
    words = _HUMPS.sub("_", short).lower()
    if _HEADER.fullmatch(short.lower()):
        return _Kind.LINE
    variable = short.isupper() and _VARIABLE.search(words)
    if words.strip("_.-") in {"key", "keys"}:
        return _Kind.KEY
    if _BARE.match(words):
        return _Kind.WEAK
    if _NAME_OF_WORDS.search(words):
        kind = _Kind.WORDS
    elif _NAME_OF_A_WORD.search(words) or variable:
        kind = _Kind.WORD
    else:
        return None
    return _Kind.WEAK if _CODE.match(words) else kind


def _find_value(text: str, name: re.Match[str], kind: _Kind) -> tuple[int, int]:
    """Where the value begins and ends; the same twice where there is none."""
    at = name.end()
    nothing = (at, at)
    if kind is _Kind.KEY and _KEY_BEFORE.search(text, max(0, name.start() - 16), name.start()):
        kind = _Kind.WORD
    if (tag := _TAG.match(text, at)) and _TAG_BEFORE.search(text, max(0, name.start() - 32), name.start()):
        end = _TAG_END.search(text, tag.end())
        return tag.end(), end.start() if end else len(text)
    if name[0].lower().startswith("u003c") and (tag := _TAG.match(text, at)):
        end = _TAG_END.search(text, tag.end())
        return tag.end(), end.start() if end else len(text)
    if kind is not _Kind.KEY and (value := _VALUE_ATTRIBUTE.match(text, at)):
        return value.end(), _end_of_value(text, value.end(), kind, quoted=True)
    if sign := _SIGN.match(text, at):
        begin = sign.end()
        prose = ":" in sign["sign"] and sign["space"] and _NOTHING.match(text, begin)
        if sign["space"] and _PATH_BEFORE.search(text[max(0, name.start() - _LONGEST_NAME) : name.start()]):
            return nothing
        if prose or _EMPTY.match(text, begin) or text.startswith("arn:aws", begin):
            return nothing
        if kind is _Kind.KEY:
            return _find_secret_word(text, begin, loose=False)
        if kind is _Kind.WEAK and not (_is_assigned(sign, name[0]) or _OPENING.match(text, begin)):
            return _find_secret_word(text, begin, loose=True)
        if kind is _Kind.WEAK and _CODE.match(_HUMPS.sub("_", name[0]).lower()):
            return _find_secret_word(text, begin, loose=True)
        if text[at] == "=" and sign["space"] and _NEXT_NAME.match(text, begin):
            return nothing
        if kind is _Kind.WORDS and ("\n" in sign["space"] or "\r" in sign["space"]):
            kind = _Kind.WORD
        return begin, _end_of_value(text, begin, kind, quoted=bool(sign["close"]), close=not sign["space"])
    if kind is not _Kind.KEY and (value := _TUPLE.match(text, at)):
        return value.end(), _end_of_value(text, value.end(), kind, quoted=True)
    if name[0].startswith("-") and (value := _OPTION.match(text, at)):
        return value.end(), _end_of_value(text, value.end(), _Kind.WORD, quoted=True)
    if value := _PROSE.match(text, at):
        loose = kind is _Kind.WORDS or (kind is not _Kind.KEY and _LOOSE.search(name[0]) is not None)
        return _find_secret_word(text, value.end(), loose=loose)
    return nothing


def _is_assigned(sign: re.Match[str], name: str) -> bool:
    return "=" in sign["sign"] and not _CODE.match(_HUMPS.sub("_", name).lower())


def _find_secret_word(text: str, begin: int, *, loose: bool) -> tuple[int, int]:
    """The next word, where it looks like a secret."""
    if not (found := _SPACELESS.match(text, begin)) or found[0].startswith(REDACTED):
        return begin, begin
    word = found[0].strip(".,;:!?()[]{}\"'`\\")
    if _ALGORITHM.fullmatch(word) or _PLACE.fullmatch(word) or REDACTED[1:-1] in word:
        return begin, begin
    kinds = [any(kind(c) for c in word) for kind in (str.isupper, str.islower, str.isdigit)]
    if loose:
        secret = len(word) >= 5 and any(map(str.isalpha, word)) and (kinds[2] or any(c in "!#$%^*" for c in word))
        secret = secret or (word.isdigit() and len(word) >= 6)
    else:
        secret = len(word) >= 16 and all(kinds)
    return begin, found.end() if secret or _HEX_KEY.fullmatch(word) else begin


def _end_of_value(text: str, begin: int, kind: _Kind, *, quoted: bool, close: bool = False) -> int:
    """Where the value that begins here ends. `quoted`: its name stands within quotes; `close`: no space before it."""
    line = min((at for end in "\r\n" if (at := text.find(end, begin)) >= 0), default=len(text))
    if text.startswith(REDACTED, begin):
        return begin + len(REDACTED)
    if kind is _Kind.LINE and not quoted:
        return line
    if opening := _OPENING.match(text, begin):
        end = _find(opening[1], text, opening.end())
        return _past(text, end) if end else line
    if text[begin : begin + 1] in {"[", "{", "("} or _WRAPPER.match(text, begin):
        return _past(text, _end_of_bracket(text, begin, line))
    if kind in {_Kind.WORDS, _Kind.LINE}:
        stops = [_STOP.search(text, begin, line), _STOP_CLOSE.search(text, begin, line) if close else None]
        return min((stop.start() for stop in stops if stop), default=line)
    if _BRACKET.match(text, begin):
        return _past(text, _end_of_bracket(text, begin, line))
    return found.end() if (found := _RUN.match(text, begin)) else begin


def _find(quote: str, text: str, begin: int) -> int:
    """The end of the next quotation mark like this one: with as many backslashes. 0 where there is none."""
    pattern = re.compile(rf"(?<!\\){re.escape(quote)}")
    while found := pattern.search(text, begin):
        begin = found.end() + len(quote)
        if not text.startswith(quote, found.end()):  # Twice the same is how some write one within quotes.
            return found.end()
    return 0


def _past(text: str, end: int) -> int:
    """What hangs on to a closing mark belongs to the value."""
    found = _REST.match(text, end)
    return found.end() if found else end


def _end_of_bracket(text: str, begin: int, line: int) -> int:
    """The end of what is in brackets, those within it and quoted ones considered; the end of the line where none is."""
    depth, quote = 0, ""
    for mark in _MARK.finditer(text, begin, line):
        sign = mark[0]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in {'"', "'"}:
            quote = sign
        elif sign in {"[", "(", "{"}:
            depth += 1
        elif sign in {"]", ")", "}"}:
            depth -= 1
            if depth <= 0:
                return mark.end()
    return line


def _looks_random(word: str) -> bool:
    """Secret access keys and session tokens mix cases and digits; paths, ids and digests do not."""
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(kind(c) for c in word) for kind in kinds)


def _is_card(number: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812, Luhn)."""
    digits = [int(c) for c in number if c.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
