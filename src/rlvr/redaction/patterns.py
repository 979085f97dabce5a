"""What a secret looks like: a list of forms, each found in a time that grows with the text alone.

A form is only tried where one of its needles stands, and then either fails after a bounded number
of characters, or takes what it read, so that no text is read twice.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from rlvr.errors import ConfigurationError
from rlvr.redaction.names import NEEDLES, is_named, is_value

Match = re.Match[str]

BEFORE_CHARS = 64
"""So many characters before a needle decide whether a match is a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One form of a secret.

    `what` says in words what is replaced. `form` is matched at each of the `needles`, or, without
    any, searched for; its group "secret" is replaced, or all of it. `accepts` is asked with the
    characters before the match. `leads` is what a secret has before its needle, matched backwards.
    `contextual`: what stands around it shows it to be a secret, not its own form.
    """

    name: str
    what: str
    form: re.Pattern[str]
    needles: tuple[str, ...] = ()
    accepts: Callable[[str, Match], bool] | None = None
    leads: re.Pattern[str] | None = None
    contextual: bool = False


def asked_pattern(expression: str) -> Pattern:
    """The pattern of a regular expression that a person gives.

    Raises:
        ConfigurationError: it is none, or it matches a text without characters.
    """
    try:
        form = re.compile(expression)
    except re.error as error:
        raise ConfigurationError(f"{expression!r} is no regular expression: {error}.") from error
    if form.match(""):
        raise ConfigurationError(f"{expression!r} also matches nothing at all; make it longer.")
    return Pattern(name="asked", what=f"what {expression} matches", form=form)


def _long_run(_: str, match: Match) -> bool:
    """Names in CSS and Python also begin with sk-; no part of theirs is so long."""
    return re.search(r"[A-Za-z0-9_]{16}", match.group()) is not None


def _by_header(before: str, match: Match) -> bool:
    if _HEADER.search(before):
        return True
    secret = match["secret"]
    bearer = match.group()[:6].lower() == "bearer"
    return bearer and len(secret) >= 16 and any(character.isdigit() for character in secret)


def _by_name(before: str, match: Match) -> bool:
    by, quoted = match["by"].strip(), bool(match["quote"])
    if not is_named(before, match["word"], blank=not by):
        return False
    if quoted and match.string[match.end() : match.end() + 1] in (" ", "\t"):
        return False  # a sentence
    return is_value(match["secret"], quoted=quoted, assigned=by != ":")


def _is_password(_: str, match: Match) -> bool:
    return match["secret"][0] not in "$<{[*"


_HEADER = re.compile(r"(?i)authorization[\"'\\]{0,3}\s?[:=]\s?[\"'\\]{0,3}\Z")

ALWAYS: tuple[Pattern, ...] = (
    Pattern(
        name="private-key",
        what="`-----BEGIN ... PRIVATE KEY-----` to its end, or to that of the text",
        needles=("-----BEGIN ",),
        form=re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?P<secret>.*?)"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
            re.DOTALL,
        ),
    ),
    Pattern(
        name="anthropic-key",
        what="`sk-ant-...`",
        needles=("sk-ant-",),
        form=re.compile(r"(?<![A-Za-z0-9])sk-ant-[A-Za-z0-9_-]{16,}+"),
    ),
    Pattern(
        name="openai-key",
        what="`sk-...`, also of the many providers that follow OpenAI",
        needles=("sk-",),
        form=re.compile(r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,}+"),
        accepts=_long_run,
    ),
    Pattern(
        name="hugging-face-token",
        what="`hf_...`, `api_org_...`",
        needles=("hf_", "api_org_"),
        form=re.compile(r"(?<![A-Za-z0-9])(?:hf_|api_org_)[A-Za-z0-9]{20,}+"),
    ),
    Pattern(
        name="github-token",
        what="`ghp_...`, `gho_...`, `ghu_...`, `ghs_...`, `ghr_...`, `github_pat_...`",
        needles=("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        form=re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}+"),
    ),
    Pattern(
        name="gitlab-token",
        what="`glpat-...`, `gldt-...`, `glrt-...`, `glptt-...`",
        needles=("glpat-", "gldt-", "glrt-", "glptt-"),
        form=re.compile(r"(?<![A-Za-z0-9])gl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,}+"),
    ),
    Pattern(
        name="aws-access-key",
        what="`AKIA...`, `ASIA...` of 20 characters; the secret key by its name",
        needles=("AKIA", "ASIA"),
        form=re.compile(r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ),
    Pattern(
        name="google-key",
        what="`AIza...`, `ya29....`, `GOCSPX-...`",
        needles=("AIza", "ya29.", "GOCSPX-"),
        form=re.compile(
            r"(?<![A-Za-z0-9])(?:AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}+"
            r"|GOCSPX-[A-Za-z0-9_-]{20,}+)"
        ),
    ),
    Pattern(
        name="slack-token",
        what="`xoxb-...` and its kin, `xapp-...`, the secret part of a webhook's address",
        needles=("xox", "xapp-", "hooks.slack.com/services/"),
        form=re.compile(
            r"(?:(?<![A-Za-z0-9])(?:xox[abeoprs]-|xapp-)[A-Za-z0-9-]{10,}+"
            r"|hooks\.slack\.com/services/(?P<secret>[A-Za-z0-9/]{20,}+))"
        ),
    ),
    Pattern(
        name="stripe-key",
        what="`sk_live_...`, `rk_live_...`, those of `test`, `whsec_...`",
        needles=("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
        form=re.compile(r"(?<![A-Za-z0-9])(?:[rs]k_(?:live|test)_|whsec_)[A-Za-z0-9]{16,}+"),
    ),
    Pattern(
        name="wandb-key",
        what="`wandb_v1_...`, and 40 hexadecimal digits after `wandb login`",
        needles=("wandb_v", "wandb login ", "wandb.login("),
        form=re.compile(
            r"wandb(?:_v\d_[A-Za-z0-9_]{20,}+|[ .]login[^\w\n]{1,4}(?:--relogin\s+)?(?:key\s?=\s?)?"
            r"[\"']?(?P<secret>[0-9a-f]{40})(?![0-9a-f]))"
        ),
    ),
    Pattern(
        name="provider-key",
        what="`gsk_...`, `nvapi-...`, `xai-...`, `pplx-...`, `npm_...`, `pypi-...`, `dop_v1_...`,"
        " `SG....` (Groq, NVIDIA, xAI, Perplexity, npm, PyPI, DigitalOcean, SendGrid)",
        needles=("gsk_", "nvapi-", "xai-", "pplx-", "npm_", "pypi-AgE", "dop_v1_", "SG."),
        form=re.compile(
            r"(?<![A-Za-z0-9])(?:(?:gsk_|npm_|dop_v1_)[A-Za-z0-9]{30,}+"
            r"|(?:nvapi-|xai-|pplx-|pypi-)[A-Za-z0-9_-]{40,}+"
            r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64})"
        ),
    ),
    Pattern(
        name="jwt",
        what="JSON web tokens: `eyJ....eyJ....`",
        needles=("eyJ",),
        form=re.compile(
            r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}+\.eyJ[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]*+)?"
        ),
    ),
    Pattern(
        name="authorization",
        what="what follows `Bearer`, or `Basic` in a header `Authorization`",
        needles=("Bearer ", "bearer ", "Basic ", "basic "),
        form=re.compile(r"(?:[Bb]earer|[Bb]asic) (?P<secret>[A-Za-z0-9._~+/=-]{8,}+)"),
        accepts=_by_header,
        contextual=True,
    ),
    Pattern(
        name="url-password",
        what="the password in `scheme://user:password@host`",
        needles=("://",),
        form=re.compile(
            r"(?<=[A-Za-z0-9])://[^\s/:@\"'<>]{0,100}:(?P<secret>[^\s/@\"'<>]{1,200})@"
        ),
        accepts=_is_password,
        contextual=True,
    ),
    Pattern(
        name="named-secret",
        what='the value of `api_key=`, `"password": `, `X_TOKEN=`, `--client-secret ` and such'
        " names, of six characters or more",
        needles=NEEDLES,
        form=re.compile(
            r"(?P<word>[kK]ey|KEY|[tT]oken|TOKEN|[sS]ecret|SECRET|[pP]assw(?:or)?d"
            r"|PASSW(?:OR)?D|[pP]wd|[cC]redential|CREDENTIAL)(?:\\?[\"'])?"
            r"(?P<by>\s{0,3}(?:=>|:=|={1,2}|:)\s{0,3}|[ \t]{1,3})(?P<quote>\\?[\"'])?"
            r"(?P<secret>(?:[^\s\"',;&<>\\]|\\(?![\"'nrt])){1,}+)"
        ),
        accepts=_by_name,
        contextual=True,
    ),
)
"""The patterns that are always looked for, the more telling before the more general."""

PRIVATE: tuple[Pattern, ...] = (
    Pattern(
        name="email",
        what="e-mail addresses",
        needles=("@",),
        form=re.compile(r"@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,5}[A-Za-z]{2,24}(?![A-Za-z0-9])"),
        leads=re.compile(r"[A-Za-z0-9._%+-]{1,64}+"),
    ),
    Pattern(
        name="home-user",
        what="the user's name in `/home/NAME`, `/Users/NAME`, `\\Users\\NAME`",
        needles=("/home/", "/Users/", "\\Users\\"),
        form=re.compile(r"(?:/home/|/Users/|\\Users\\)(?P<secret>[^/\s\"'\\:<>]{1,64}+)"),
    ),
)
"""The patterns of what is private and no secret, looked for when asked."""
