"""What log lines of an application tell of a mechanism: the words of operating systems, runtimes, drivers and SDKs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from bokgu.api.observed import LogLine

LOOKED_AT = 1024
"""Characters of a line that are looked at."""


class Sign(StrEnum):
    """What a line shows."""

    NAMES_NOT_RESOLVED = "names are not resolved"
    THROTTLED = "calls are throttled"
    CORRUPT = "stored data is corrupt"
    DISK_FULL = "no space is left on the disk"
    DEPENDENCY_FULL = "the disk or the memory of a dependency is used up"
    NO_MEMORY = "memory is used up"
    DENIED = "a permission is missing"
    MISCONFIGURED = "a setting is missing or wrong"
    REFUSED = "a dependency refuses connections"
    NO_ANSWER = "a dependency does not answer"
    POOL_EXHAUSTED = "the application's own connection pool is used up"
    WRONG_PLATFORM = "the image is built for another platform"
    NOT_DECODED = "messages cannot be decoded"
    MIGRATED = "stored data was migrated"
    CHANGED_BY_HAND = "somebody changed something"
    CRASHED = "the application crashed"
    LOADING = "the application is still starting"


@dataclass(frozen=True)
class LogSign:
    """A line, and what it shows."""

    sign: Sign
    line: LogLine


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


_STORE = _any(
    r"psycopg", r"sqlalchemy", r"OperationalError", r"\bSQLSTATE\b", r"could not extend file", r"\bMISCONF\b",
    r"mysql", r"postgres", r"\bredis\b", r"maxmemory", r"elasticsearch", r"opensearch", r"mongo", r"kafka",
)  # fmt: skip

_BACKEND = r"(broker|sasl|amqp|jdbc|psycopg|postgres|mysql|redis|mongo|kafka|database|\bdb\b|ldap|smtp)"
"""Words of those whom the service itself logs in to: its users fail to log in every day."""

_TARGET = (
    r"(connect|broker|upstream|database|\bdb\b|redis|server|socket|endpoint|host|https?://|gateway"
    r"|(?<![\w.-])[\w.-]{1,255}:\d{2,5})"
)

_TABLE: tuple[tuple[Sign, re.Pattern[str]], ...] = (
    (Sign.WRONG_PLATFORM, _any(r"exec format error", r"wrong ELF class", r"bad CPU type")),
    (
        Sign.NAMES_NOT_RESOLVED,
        _any(
            r"EAI_AGAIN", r"ENOTFOUND", r"Temporary failure in name resolution", r"UnknownHostException",
            r"no such host", r"Name or service not known", r"could not (be )?resolve", r"NXDOMAIN", r"SERVFAIL",
        ),
    ),
    (
        Sign.THROTTLED,
        _any(
            r"ProvisionedThroughputExceeded", r"Throttl(ing|ed)", r"Rate exceeded", r"RequestLimitExceeded",
            r"TooManyRequests", r"\b429\b.*(too many|rate)", r"too many requests", r"\bSlowDown\b", r"rate limit",
            r"LimitExceededException", r"quota exceeded",
        ),
    ),
    (
        Sign.CORRUPT,
        _any(
            r"\bcorrupt(ed|ion)?\b", r"_CORRUPT\b", r"is malformed", r"checksum (mismatch|failed|error)",
            r"wrong \w* ?checksum", r"checksum.*(expected|does not match)", r"\b(bad|wrong) CRC\b",
            r"CRC (error|mismatch)",
            r"missing chunk number", r"invalid page (in|header)", r"could not read block", r"bad file format",
            r"page verification failed", r"unexpected end of (file|segment) in (index|table|segment)",
        ),
    ),
    (Sign.DISK_FULL, _any(r"no space left on device", r"\bENOSPC\b", r"disk (is )?full", r"DiskFull", r"disk quota")),
    (
        Sign.NO_MEMORY,
        _any(
            r"\bOutOfMemoryError\b", r"heap out of memory", r"\bMemoryError\b", r"cannot allocate memory",
            r"\bENOMEM\b", r"\boom[-_ ]?kill", r"out of memory", r"\bstd::bad_alloc\b", r"memory limit exceeded",
        ),
    ),
    (
        Sign.MISCONFIGURED,
        _any(
            r"unbound variable", r"KeyError: '(?-i:[A-Z][A-Z0-9_]+)'",
            r"\b(?-i:[A-Z][A-Z0-9_]{2,}) (is )?(not set|undefined|unset)",
            r"environment variable.*(not|missing|required|undefined|unset)",
            r"missing (required )?(environment|env|config\w*|setting|secret|parameter|property)",
            r"(required|mandatory) (environment|env|config\w*|setting|secret|property).*(missing|not)",
            r"invalid (config|configuration|settings?|database url|connection string|dsn)\b",
            r"password authentication failed", r"Access denied for user", r"invalid api[ _-]?key",
            r"ACCESS_REFUSED", r"\b(WRONGPASS|NOAUTH)\b",
            _BACKEND + r".*(authentication ?(failed|failure|error|exception)|login (was )?refused)",
            r"(authentication ?(failed|failure|error|exception)|login (was )?refused).*" + _BACKEND,
            r"could not (resolve placeholder|load config)", r"cannot find (config|module)",
            r"(no such file or directory|ENOENT).*\.(ya?ml|json|env|conf|ini|toml|pem|crt|key|properties)\b",
            r"(certificate|token|license) (has |is )?expired",
            r"expired certificate", r"ImproperlyConfigured",
        ),
    ),
    (
        Sign.DENIED,
        _any(
            r"AccessDenied", r"is not authorized to perform", r"UnauthorizedOperation", r"permission denied for",
            r"\bEACCES\b", r"InvalidClientTokenId|ExpiredToken|UnrecognizedClient",
        ),
    ),
    (
        Sign.POOL_EXHAUSTED,
        _any(
            r"connection is not available, request timed out", r"QueuePool limit", r"pool (is )?(exhausted|empty|full)",
            r"timeout (acquiring|waiting for).*(pool|connection from)",
            r"no (free|idle|available) connections? in (the )?pool",
        ),
    ),
    (
        Sign.REFUSED,
        _any(
            r"ECONNREFUSED", r"connection refused", r"can(no|')?t connect", r"could not connect", r"unable to connect",
            r"failed to connect", r"no living connections", r"no healthy upstream", r"cluster_block_exception",
            r"not the leader", r"no brokers? available",
            r"connection to .* failed", r"lost connection", r"server closed the connection", r"connection reset",
            r"ECONNRESET", r"broken pipe", r"EPIPE\b", r"too many connections", r"remaining connection slots",
            r"the database system is (starting up|shutting down|in recovery)", r"\bREADONLY\b", r"CLUSTERDOWN",
            r"connection terminated unexpectedly", r"circuit ?breaker.*open",
        ),
    ),
    (
        Sign.NO_ANSWER,
        _any(
            r"50[234] (Gateway Time-?out|Bad Gateway|Service (Temporarily )?Unavailable).*(from|upstream)",
            r"https?://\S.*\b5\d\d\b",
            r"\b(status|code|responded|returned|answered)\b.{0,200}\b5\d\d\b.{0,200}https?://",
            r"Gateway Time-?out", r"ETIMEDOUT", r"ESOCKETTIMEDOUT",
            _TARGET + r".*(timed? ?out|deadline exceeded)", r"(timed? ?out|deadline exceeded).*" + _TARGET,
            r"(upstream|dependency|downstream).*(unavailable|error|fail)", r"\bUNAVAILABLE\b", r"DEADLINE_EXCEEDED",
            r"no route to host", r"network is unreachable", r"EHOSTUNREACH|ENETUNREACH",
        ),
    ),
    (
        Sign.NOT_DECODED,
        _any(
            r"InvalidProtocolBuffer",
            r"(cannot|could not|unable to|failed to) (de(code|serialize|serialise)|unmarshal|parse message)",
            r"Unmarshal(ling)?(Type)?Error", r"SerializationException", r"Unrecognized field",
            r"schema.*(mismatch|incompatible|unknown)",
            r"AvroTypeException", r"JsonMappingException",
        ),
    ),
    (
        Sign.MIGRATED,
        _any(
            r"\bmigrat(ed|ing)\b.*(==|\()", r"\bmigration .*(applied|complete|finished)",
            r"backfill.*(done|complete)",
        ),
    ),
    (
        Sign.CHANGED_BY_HAND,
        _any(r"\beventName=(Update|Put|Delete|Modify|Create|Authorize|Revoke|Disable|Replace)\w+.*\b(user|arn)\b"),
    ),
    (
        Sign.CRASHED,
        _any(
            r"\bpanic(ked)?\b", r"Traceback \(most recent call last\)",
            r"Unhandled(PromiseRejection| exception|Rejection)",
            r"uncaught (exception|error)", r"Assertion .* failed", r"Segmentation fault", r"SIG(SEGV|ABRT|BUS|ILL)",
            r"core dumped", r"Exception in thread", r"^(\S+ )?(FATAL|CRITICAL)\b",
            r"\b\w*(Range|Type|Reference|Syntax|Runtime|Value)Error:",
            r"NullPointerException", r"fatal error:", r"stack overflow",
        ),
    ),
    (Sign.LOADING, _any(r"\b(loading|warming|bootstrapping|starting|initiali[sz]ing)\b")),
)  # fmt: skip

_HOST = re.compile(
    r"(?:://|@)((?:[a-z0-9-]+\.)*[a-z0-9-]+)|((?:[a-z0-9-]+\.)+[a-z0-9-]+):\d{2,5}\b"
    r"|\b((?:[a-z0-9-]+\.)+(?:com|net|org|io|local|internal|cloud|dev|example|svc|aws))\b(?![.\w])",
    re.IGNORECASE,
)
"""A host in a URL, one with a port, or a name under a usual top-level domain: modules of programs look alike."""

_QUIET = re.compile(r"^(\S+\s+)?\[?(INFO|DEBUG|TRACE)\]?\b")
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}:(\d{2,4})\b(?!->)")
"""An address with the port of a service; ephemeral ports of the other end are none."""

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")


def read_signs(lines: Iterable[LogLine]) -> tuple[LogSign, ...]:
    """What each line shows, the first row of the table that fits; lines that show nothing are left out."""
    found = []
    for line in lines:
        text = line.text[:LOOKED_AT]
        quiet = _QUIET.match(text) is not None
        for sign, pattern in _TABLE:
            if (quiet and sign not in {Sign.MIGRATED, Sign.LOADING}) or not pattern.search(text):
                continue
            remote = sign in {Sign.DISK_FULL, Sign.NO_MEMORY} and _STORE.search(text) is not None
            found.append(LogSign(Sign.DEPENDENCY_FULL if remote else sign, line))
            break
    return tuple(found)


def find_hosts(signs: Iterable[LogSign]) -> frozenset[str]:
    """The hosts that the lines name; of bare addresses only the ports, which tell services apart."""
    found: set[str] = set()
    for sign in signs:
        for match in _HOST.finditer(sign.line.text[:LOOKED_AT]):
            host = next(filter(None, match.groups())).lower()
            if not host[-1].isdigit():
                found.add(host)
        found |= {f"port {port}" for port in _ADDRESS.findall(sign.line.text[:LOOKED_AT])}
    return frozenset(found)


def find_sites(hosts: Iterable[str]) -> frozenset[str]:
    """Whose hosts they are: hosts of one domain are one site, and so are those of one AWS service."""
    return frozenset(_site(host) for host in hosts)


def _site(host: str) -> str:
    parts = host.split(".")
    if host.startswith("port "):
        return host
    if host.endswith(".amazonaws.com"):
        words = [part for part in parts[:-2] if not _REGION.fullmatch(part)]
        return f"{words[-1] if words else 'aws'}.amazonaws.com"
    return ".".join(parts[-2:])
