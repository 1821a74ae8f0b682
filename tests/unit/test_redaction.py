import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bokgu.api.redaction import LOOKED_AT, REDACTED, redact, redact_quote
from bokgu.core.causes.verdict import quote

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
    assume(secret not in form)
    text = form.format(secret)
    found = redact(text)
    assert secret not in found
    assert REDACTED in found
    assert redact(found) == found


@pytest.mark.parametrize(
    "line",
    [
        '{"level":"error","message":"request failed: {\\"user\\":\\"bob\\",\\"password\\":\\"{S}\\"}"}',
        '{"msg":"upstream error","headers":"{\\"x-api-key\\":\\"{S}\\"}"}',
        'Parameters: {"user"=>{"email"=>"x", "password"=>"{S}"}} Completed 500 ERROR',
        'ERROR {:user=>"bob", :password=>"{S}"}',
        'ERROR login failed: Credentials { user: "bob", password: Some("{S}") }',
        "ERROR headers: [(b'authorization', b'Token {S}')]",
        "ERROR headers=[('x-api-key', '{S}'), ('accept', '*/*')]",
        "ERROR {'password': b'{S}'}",
        "ERROR config: password: u'{S}'",
        "ERROR DB_PASS={S} connect failed",
        "ERROR smtp_pass: {S}",
        "FATAL mysql -h db -u root -p{S} failed",
        "error: command failed: psql --password {S} -h db",
        "error: curl -u admin:{S} https://x/ failed",
        "ERROR <password>{S}</password>",
        "ERROR passphrase={S}",
        "ERROR wrong password {S} for user bob",
        "ERROR password is {S}",
        "ERROR SECRET_KEY_BASE={S} missing length",
        "ERROR ENCRYPTION_KEY={S} bad",
        "ERROR JWT_SECRET_OLD={S}",
        "ERROR API_KEY_PROD={S}",
        "ERROR user[password]={S}&commit=1",
        "ERROR spring.datasource:password={S}",
        "ERROR redis://{S}@cache:6379 refused",
        "ERROR postgres://app:p/{S}@db:5432/shop timeout",
        "ERROR amqp://app:p@{S}@mq:5672 timeout",
        "ERROR jdbc:oracle:thin:scott/{S}@//db:1521/x timeout",
        "ERROR invalid_token: {S}",
        "ERROR InvalidPassword: {S}",
        "ERROR password=abc,{S};x",
        "ERROR password: correct horse {S}",
        'ERROR password := "{S}"',
        "ERROR https://hooks.slack.com/services/T024BE7LH/B024BE7LH/{S} failed",
        "ERROR pin={S}",
        "ERROR auth={S}",
        "ERROR REDIS_AUTH: {S}",
        "ERROR AUTH failed: redis-cli -a {S}",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQOYBF{S}\n",
        "ERROR dsn https://{S}@o1.ingest.sentry.io/1 failed",
        "ERROR password%3D{S}%26x",
        "ERROR password\t{S}",
        'ERROR "password" : ["{S}"]',
        'ERROR password: {"value": "{S}"}',
        'ERROR Authorization\\": \\"Token {S}',
        "ERROR x-vault-token header {S}",
        "ERROR Set-Cookie => sid={S}",
        "error cookie jar sid={S}; Path=/",
        '{"log":"{\\"ctx\\":\\"{\\\\\\"password\\\\\\":\\\\\\"{S}\\\\\\"}\\"}"}',
        "{\\u0022password\\u0022:\\u0022{S}\\u0022}",
        "&quot;password&quot;:&quot;{S}&quot;",
        '[{"name":"DB_PASSWORD","value":"{S}"},{"name":"X","value":"1"}]',
        "name: DB_PASSWORD, value: {S}",
        "- name: API_KEY\n  value: {S}",
        '<add key="DbPassword" value="{S}"/>',
        '<ns:password type="x">{S}</ns:password>',
        "\\u003cpassword\\u003e{S}\\u003c/password\\u003e",
        "Server=db;User Id=sa;Password={S};Database=x",
        "password=a b {S} user=bob",
        'secret: Secret("{S}")',
        "{User:bob Password:{S} Host:db}",
        "password: 'it''s {S}'",
        "password='it\\'s {S}'",
        'password="a\\"b{S}"',
        "mysql -u root -p'{S}' db",
        "sshpass -p {S} ssh x",
        '["redis-cli","-a","{S}"]',
        '["psql","--password","{S}"]',
        "curl --user admin:{S} https://x",
        "postgres://:{S}@db/x",
        "mongodb+srv://u:p@ss/w@rd{S}@h.mongodb.net/x",
        "redis://:p?{S}@h:1",
        "jdbc:oracle:thin:scott/p@{S}@//db:1521/x",
        "sqlplus scott/{S}@db",
        '{"password":{"a":{"b":1},"value":"{S}"}}',
        "('Authorization', 'Digest username=\"u\", response=\"{S}\"')",
        "headers: {authorization=[Basic {S}], accept=[*/*]}",
        "AUTH0_CLIENT_SECRET_PROD_EU={S}",
        "jwtSecretOld: {S}",
        "dbpass={S}",
        "PGPASSWORD={S} psql",
        "API key: {S}",
        "api key is {S}",
        "password: abc={S}",
        "PASSWORD: |\n  {S}",
        "password:\n{S}",
        "Incorrect password '{S}'",
    ],
)
def test_no_way_to_print_a_name_and_its_value_lets_the_value_through(line: str) -> None:
    """Lines in which a reviewer, and we, found secrets left."""
    found = redact(line.replace("{S}", "hunter2Zq"))
    assert "hunter2Zq" not in found
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
        "2223003122003222",
        "4111.1111.1111.1111",
        "hf_" + "aBcDeFgHiJ1234567890aBcDeFgHiJ1234",
        "GOCSPX-" + "aBcDeFgHiJ1234567890aBcDeFgH",
        "123456789:AAF" + "aBcDeFgHiJ1234567890aBcDeFgHiJ12",
        "SG." + "aBcDeFgHiJ1234567890aB.aBcDeFgHiJ1234567890aBcDeFgHiJ1234567890abc",
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
        'FATAL: password authentication failed for user "app" (SQLSTATE 28P01)',
        "/start.sh: line 3: DB_PASSWORD: unbound variable",
        "KeyError: 'DB_PASSWORD'",
        "failed to get token: connection refused",
        "auth: connect ECONNREFUSED 10.0.0.1:5432",
        "c.e.auth.TokenService : connection refused db.internal:5432",
        "TokenExpiredError: jwt expired",
        "CredentialsProviderError: Could not load credentials from any providers",
        "Duplicate entry 'x' for key 'PRIMARY'; partition key: orders-2",
        "https://host.example.com:8080/users/a?x=1 answered 504",
        "https://idp.example.com/oauth2/token: 503",
        "token_url=https://idp.example.com/t timed out",
        "open /run/secrets/token: permission denied",
        "SECRET_ARN=arn:aws:secretsmanager:eu-west-1:123456789012:secret:MyVeryLongProductionDatabaseSecretName1-AbCdEf",
        "Basic authentication failed; bearer authentication required",
        "msg=timeout host=db.internal pass: 12 fail: 3",
        "receipt 20261124080000 of 2223003122003223",
    ],
)
def test_what_tells_of_the_trouble_stays(text: str) -> None:
    assert redact(text) == text


FRAGMENTS = (
    *(
        "password",
        "token",
        "secret",
        "DB_PASS",
        "auth",
        "key",
        "name",
        "value",
        "Cookie",
        "=",
        ":",
        ":=",
        "=>",
        " ",
        "\n",
    ),
    *(
        '"',
        "'",
        '\\"',
        "\\",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "Some(",
        "b'",
        "<",
        ">",
        "&",
        ",",
        ";",
        "%3D",
        "%22",
        "null",
    ),
    *("@", "://", "https", "a", "hunter2Zq", "x@y.zz", REDACTED, "arn:aws:x:y:1:secret:ab", "Bearer ", "0" * 32),
    *("mysql", "-p", "-u", "--password", "redis-cli -a", "jdbc:oracle:thin:", ACCESS_KEY, "failed", "is"),
)


@given(st.text(max_size=400) | st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
def test_any_text_can_be_redacted_and_once_is_enough(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(st.text(max_size=3000))
def test_quotes_are_bounded_and_can_be_stored(text: str) -> None:
    found = redact_quote(text + "\ud83d")
    assert len(found) <= 300
    assert found.encode()


def test_what_is_quoted_is_redacted_whoever_says_it() -> None:
    said = 'CannotStartContainerError: exec: "DB_PASSWORD=hunter2 ./start.sh": executable file not found in $PATH'
    assert "hunter2" not in quote("DescribeTasks", said).fact
    assert quote("DescribeTasks", said).fact.startswith('CannotStartContainerError: exec: "DB_PASSWORD=[redacted]')


@pytest.mark.parametrize("first", ["", "password=", "password: "])
@pytest.mark.parametrize(
    "part",
    [
        *(
            "a",
            "password=",
            "password: ",
            "eyJ",
            "@a.",
            "a@",
            "4 ",
            "1.",
            '"',
            "://a:",
            "a_-.",
            "\\",
            '\\"',
            " ",
            "\t",
            "[",
        ),
        *("-----BEGIN PRIVATE KEY-----", "http://a:b@", "mysql ", "-u a", "jdbc:oracle:x:a@", "pass_", "SECRET_A_"),
        *("password=a ", "password: Some(", "redis-cli -a", "%22", "arn:aws:", "token ", "1_"),
    ],
)
@pytest.mark.timeout(2)
def test_long_lines_take_no_long_time(first: str, part: str) -> None:
    """Four times what is looked at: a pattern that is quadratic costs sixteen times as much, a cubic one hangs."""
    redact(first + part * (4 * LOOKED_AT // len(part)))


def test_a_text_that_never_comes_to_rest_is_hidden_as_a_whole() -> None:
    assert redact('redis-cli"-a' + '\\"' * 40 + "0") == REDACTED


def test_a_word_that_is_longer_than_what_is_looked_at_is_said_to_be_hidden() -> None:
    assert redact_quote("x" * (LOOKED_AT + 1)) == REDACTED
    assert redact_quote("failed: " + "x" * LOOKED_AT) == "failed:"
