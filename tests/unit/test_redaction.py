import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.redaction import REDACTED, redact

ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
SECRETS = st.text(ALPHANUMERIC, min_size=12, max_size=40)
# In two parts, so that nobody's scanner takes them for keys.
ACCESS_KEY = "AKIA" + "IOSFODNN7" + "EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI" + "/K7MDENG/bPxRfiCY" + "EXAMPLEKEY"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".dozjgNryP4J3jVmNHl0w5N"


@pytest.mark.parametrize(
    "form",
    [
        "login failed password={} for admin",
        '{{"user": "bob", "password": "{}"}}',
        "{{'apiKey': '{}'}}",
        "DB_PASSWORD={} DB_HOST=db",
        "client_secret: {}",
        "AWS_SECRET_ACCESS_KEY={}",
        "X-Api-Key: {}",
        "Authorization: Bearer {}",
        '"Authorization": "Basic {}"',
        "proxy-authorization=Digest username=x, response={}",
        "Cookie: session={}; theme=dark",
        "calling with bearer {} now",
        "postgres://app:{}@db.internal:5432/shop",
        "GET /callback?token={}&state=1",
        "GET /x?X-Amz-Signature={}&X-Amz-Expires=60",
        "-----BEGIN RSA PRIVATE KEY-----{}-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----{}",
        "mail to {}@example.com bounced",
        "access token={}",
        "sessionId={}",
    ],
)
@given(secret=SECRETS)
def test_secrets_do_not_get_through(form: str, secret: str) -> None:
    text = form.format(secret)
    found = redact(text)
    assert secret not in found
    assert REDACTED in found
    assert redact(found) == found


@pytest.mark.parametrize(
    "secret",
    [
        ACCESS_KEY,
        SECRET_KEY,
        JWT,
        "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
        "xoxb-" + "17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy",
        "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        "4111 1111 1111 1111",
        "5555-5555-5555-4444",
        "378282246310005",
        "kim.minsu+shop@mail.example.co.kr",
    ],
)
def test_what_looks_like_a_secret_is_taken_out_wherever_it_stands(secret: str) -> None:
    for text in (secret, f"got {secret} from the cache", f'{{"x":"{secret}"}}', f"({secret})", f"a={secret},b=1"):
        assert secret not in redact(text)
        assert redact(text) != text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-24T08:00:00.123Z ERROR request to payments failed: connection timed out after 5 s",
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:"
        " unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret"
        " arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf from secrets manager:"
        " ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref"
        " 123456789012.dkr.ecr.us-east-1.amazonaws.com/web@sha256:" + "0f" * 32 + ": not found",
        "ExpiredTokenException: The security token included in the request is expired",
        "ExpiredToken: The security token included in the request is expired",
        "User: arn:aws:sts::123456789012:assumed-role/exec/0123456789abcdef0123456789abcdef is not authorized to"
        " perform: ssm:GetParameters on resource: arn:aws:ssm:us-east-1:123456789012:parameter/shop/db",
        "java.lang.IllegalStateException: no token bucket left at com.example.ratelimit.TokenBucket.take(T.java:42)",
        "task 0123456789abcdef0123456789abcdef of 1732435200123 took 1234567890123 ns",
        "connect ECONNREFUSED 10.0.1.17:5432",
    ],
)
def test_what_tells_of_the_trouble_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=400))
def test_any_text_can_be_redacted_and_once_is_enough(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "part", ["a", "password=", "eyJ", "@a.", "4 ", '"', "://a:", "-----BEGIN PRIVATE KEY-----", "a_-."]
)
@pytest.mark.timeout(5)
def test_long_lines_take_no_long_time(part: str) -> None:
    redact(part * (4096 // len(part)))
