"""What is replaced in a text, what is not, and how long it takes."""

import json
import re
import time
from pathlib import Path

import pytest

from rlvr.errors import ConfigurationError
from rlvr.redaction import (
    ALWAYS,
    PRIVATE,
    Redactor,
    asked_pattern,
    redact,
    redacted_arguments,
    without_secrets,
)

RUN = "aB3" * 40
HEX = "0123456789abcdef0123456789abcdef01234567"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"

# name of the pattern, text with {} where the secret stands, the secret
SECRETS = [
    ("private-key", "-----BEGIN RSA PRIVATE KEY-----{}-----END RSA PRIVATE KEY-----", "\nMIIE\n"),
    ("private-key", "-----BEGIN OPENSSH PRIVATE KEY-----{}", "\nb3BlbnNzaC1rZXktdjE"),
    ("anthropic-key", "key {} end", "sk-ant-api03-" + RUN[:40]),
    ("openai-key", "key {} end", "sk-abcdefghijklmnopqrstuvwx"),
    ("openai-key", '"{}"', "sk-proj-Ab_1-" + RUN[:60]),
    ("hugging-face-token", "{}", "hf_abcdefghijklmnopqrstuvwxyz"),
    ("github-token", "https://{}@github.com/x", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"),
    ("github-token", "{}", "github_pat_11ABCDEFG0abcdefghijkl_mnop"),
    ("gitlab-token", "{}", "glpat-abcdefghij0123456789"),
    ("aws-access-key", "id={}", "AKIAABCDEFGHIJKLMNOP"),
    ("google-key", "?key={}&x", "AIza" + RUN[:35]),
    ("slack-token", "{}", "xoxb-123456789012-abcdef"),
    ("slack-token", "https://hooks.slack.com/services/{}", "T00000000/B00000000/XXXXXXXXXXXXXXXX"),
    ("stripe-key", "{}", "sk_live_abcdefghij0123456789"),
    ("wandb-key", "$ wandb login {}", HEX),
    ("wandb-key", "wandb.login(key='{}')", HEX),
    ("provider-key", "{}", "gsk_" + RUN[:40]),
    ("jwt", "token: {}", JWT),
    ("authorization", "Authorization: Bearer {}", "abcdefghijklmnopqrst"),
    ("authorization", '"Authorization": "Basic {}"', "dXNlcjpwYXNz"),
    ("authorization", "curl -H 'authorization: bearer {}'", "0123456789abcdef"),
    ("url-password", "postgres://ann:{}@db/x", "hunter2"),
    ("named-secret", '{{"api_key": "{}"}}', "abcdef123456"),
    ("named-secret", "PASSWORD={} next", "hunter2222"),
    ("named-secret", "export WANDB_API_KEY={}", HEX),
    ("named-secret", "AWS_SECRET_ACCESS_KEY: {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("named-secret", "MY_SERVICE_TOKEN={}", "9f8e7d6c"),
    ("named-secret", "run --api-key {} --n 3", "abc123def"),
    ("named-secret", "x-api-key: {}", "12ab34cd"),
    ("named-secret", r'"{{\"client_secret\": \"{}\"}}"', "s3cr3ts3cr3t"),
    ("named-secret", "clientSecret: '{}'", "swordfish-of-ours"),
    ("named-secret", "password={}", "swordfish"),
    ("named-secret", "Pwd={};Uid=sa", "Hunter22"),
]  # fmt: skip

ORDINARY = [
    HEX,
    f"commit {HEX}",
    "sha256:" + "0123456789abcdef" * 4,
    "d2hhdCBhIHdvbmRlcmZ1bCBkYXkgdG8gZ28gb3V0" * 5,
    "eyJhIjogMX0=",
    "3.14159265358979323846264338327950288419716939937510",
    "123456789012345678901234567890",
    "123e4567-e89b-12d3-a456-426614174000",
    "a password is needed: think of sk-learn and https://example.org:80/a@b",
    "#sk-container-id-1 .sk-estimator-doc-link-of-a-long-name",
    "The password: remember it. The secret: nobody knows.",
    "the key: 42 monkeys; key=value, token=tokenizer, keys = sorted(found_keys_1)",
    "max_tokens=1024 eos_token='<|im_end|>' pad_token=tokenizer.eos_token next_token=12345678",
    "api_key=os.environ['OPENAI_API_KEY'], password=getpass(), api_key=api_key, secret: str",
    'api_key = "${API_KEY}" or YOUR_API_KEY=<your key> or api_key="your-api-key-here"',
    '{"password": {"type": "string"}, "secret": "a text of several words"}',
    "Basic understanding and bearer responsibilities of a Bearer certificate",
    "https://user:$PASSWORD@host and http://localhost:8080/path@x",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    "PWD=/home/ann OLDPWD=/home/ann/projects1",
    "ghp_short hf_hub_download hf_transfer sk-tiny AKIA",
    "<answer>Paris</answer> train-s000010-b000010-a00-r000-00015",
]


@pytest.mark.parametrize(("name", "text", "secret"), SECRETS)
def test_a_secret_is_replaced_and_what_stands_around_it_stays(name, text, secret):
    assert redact(text.format(secret)) == text.format(f"[redacted: {name} #1]")


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_text_stays_the_same_object(text):
    assert redact(text) is text


def test_every_pattern_has_a_secret_in_the_table():
    assert {name for name, _, _ in SECRETS} == {pattern.name for pattern in ALWAYS}


@pytest.mark.parametrize(("name", "text", "secret"), SECRETS)
def test_a_text_that_was_redacted_is_redacted_no_further(name, text, secret):
    once = redact(text.format(secret))
    assert redact(once) == once


def test_the_same_secret_has_the_same_number_and_each_is_accounted_for():
    redactor = Redactor()
    one, two = "ghp_" + "a1" * 20, "ghp_" + "b2" * 20
    assert redactor.text(f"{one} {two} {one}", "first") == (
        "[redacted: github-token #1] [redacted: github-token #2] [redacted: github-token #1]"
    )
    assert redactor.text(two, "second") == "[redacted: github-token #2]"
    found = [(r.pattern, r.number, r.count, r.places) for r in redactor.replaced]
    assert found == [
        ("github-token", 1, 2, ("first",)),
        ("github-token", 2, 2, ("first", "second")),
    ]


def test_a_password_is_also_found_where_nothing_betrays_it():
    redactor = Redactor()
    redactor.text("export PASSWORD=hunter2222")
    assert redactor.text("it is hunter2222, not hunter22223") == (
        "it is [redacted: named-secret #1], not hunter22223"
    )


def test_private_matters_are_replaced_when_asked():
    text = "ann.b@example.org in /home/ann/x or C:\\Users\\ann\\y, @decorator"
    assert redact(text) is text
    assert Redactor((*ALWAYS, *PRIVATE)).text(text) == (
        "[redacted: email #1] in /home/[redacted: home-user #1]/x or"
        " C:\\Users\\[redacted: home-user #1]\\y, @decorator"
    )


def test_a_pattern_of_ones_own_is_one_more():
    redactor = Redactor((*ALWAYS, asked_pattern(r"PRJ-\d+")))
    assert redactor.text("see PRJ-17") == "see [redacted: asked #1]"


@pytest.mark.parametrize("expression", ["(", "x*"])
def test_a_wrong_pattern_is_explained(expression):
    with pytest.raises(ConfigurationError, match=r"regular expression|matches nothing"):
        asked_pattern(expression)


def test_records_and_mappings_are_reached_into_and_keys_name_their_values():
    redactor = Redactor()
    held = {"config": [{"api_key": "hunter2hunter2", "n": 3}], "text": ("a", "hf_" + "x1" * 15)}
    assert without_secrets(held, redactor, "run") == {
        "config": [{"api_key": "[redacted: named-secret #1]", "n": 3}],
        "text": ("a", "[redacted: hugging-face-token #1]"),
    }
    assert [one.places for one in redactor.replaced] == [
        ("run.text[1]",),
        ("run.config[0].api_key",),
    ]
    assert held["config"][0]["api_key"] == "hunter2hunter2"
    whole = {"a": [1, "b"]}
    assert without_secrets(whole, redactor) is whole


def test_a_command_line_keeps_its_numbers():
    given = ["t.py", "--max-tokens", "48", "--hf-token", "abc", "--api-key=xyz", "hf_" + "x1" * 15]
    assert redacted_arguments(given) == [
        *("t.py", "--max-tokens", "48", "--hf-token", "[redacted]", "--api-key=[redacted]"),
        "[redacted: hugging-face-token #1]",
    ]


HOSTILE = [
    "sk-", "eyJ", "eyJaaaaaaaaaaaa.", "a://", "a://b:", "password: ", "api_key=", "api_key=a",
    "-----BEGIN PRIVATE KEY", "-----BEGIN RSA PRIVATE KEY-----\n", "Bearer ", "sk-a-", "://x:y",
    "X_", "KEY=", "wandb login ", "SG." + "a" * 16, "xox", "@a.", "a@", "\\", "\\\"key\\\": ",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_time_grows_with_the_text_alone(piece):
    redactor = Redactor((*ALWAYS, *PRIVATE))
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    redactor.text(text)
    assert time.process_time() - started < 1


def test_a_hundred_megabytes_would_take_seconds():
    line = json.dumps(
        {"role": "tool", "content": "The key point: x = 3, see https://a.org/b?c=d " * 20}
    )
    text = (line + "\n") * (3_000_000 // len(line))
    started = time.process_time()
    assert redact(text) is text
    assert time.process_time() - started < 0.6


def test_the_page_lists_the_patterns_as_they_are():
    page = (Path(__file__).parents[2] / "docs" / "share.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == {one.name: one.what.replace("\\\\", "\\") for one in (*ALWAYS, *PRIVATE)}
