"""How Delta's own client reaches what fsspec reaches, and its failures explained.

Who asks, and where, is asked of boto's configuration, so that one way of setting it serves both.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rlvr.errors import ConfigurationError, MissingDependency, RemoteUnavailable
from rlvr.remote import RemoteFolder

_KINDS = ("file", "s3", "s3a", "gs", "abfs", "abfss")
_PATIENCE = {
    "connect_timeout": "5 seconds",
    "timeout": "30 seconds",
    "max_retries": "2",
    "retry_timeout": "30 seconds",
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CONFLICTS = ("concurrent transaction", "version already exists", "transaction conflict")


class Overtaken(Exception):
    """Another process changed the table first: look at it anew."""


def delta_library() -> Any:
    """The package deltalake.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import deltalake
    except ImportError as error:
        raise MissingDependency(
            "a Delta table needs the package deltalake, which is not installed:"
            " pip install 'rlvr[delta]'"
        ) from error
    return deltalake


def check_kind(place: RemoteFolder) -> None:
    """Refuse a place that Delta's client does not reach.

    Raises:
        ConfigurationError: it is one.
    """
    if place.protocol not in _KINDS:
        raise ConfigurationError(
            f"{place.shown}: a Delta table can't be written there. Name a folder, or a URL that"
            " begins with s3://, gs:// or abfs://."
        )


def client_options(place: RemoteFolder) -> dict[str, str]:
    """What Delta's client must be told to reach the place, with the credentials that fsspec has."""
    if place.protocol == "file":
        return {}
    return _PATIENCE | (_of_s3() if place.protocol in ("s3", "s3a") else {})


def _of_s3() -> dict[str, str]:
    import botocore.session
    from fsspec.config import conf

    told: Mapping[str, Any] = conf.get("s3", {})
    session = botocore.session.get_session()
    endpoint = told.get("endpoint_url") or session.create_client("s3").meta.endpoint_url
    options = {"aws_region": session.get_config_variable("region") or "us-east-1"}
    if not endpoint.endswith(".amazonaws.com"):
        options["aws_endpoint"] = endpoint
        options["allow_http"] = str(endpoint.startswith("http://")).lower()
    if told.get("anon"):
        return options | {"aws_skip_signature": "true"}
    if told.get("key"):
        found = (told["key"], told.get("secret"), told.get("token"))
    else:
        credentials = session.get_credentials()
        found = credentials.get_frozen_credentials()[:3] if credentials else (None, None, None)
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return options | {name: str(value) for name, value in zip(names, found, strict=True) if value}


@contextmanager
def explained(place: RemoteFolder) -> Iterator[None]:
    """What goes wrong in Delta's client, as an error with its remedy.

    Raises:
        Overtaken: another process changed the table meanwhile.
        RemoteUnavailable: the place can't be reached or refuses, or the table can't be read.
    """
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (OSError, DeltaError, ValueError) as error:
        if isinstance(error, RemoteUnavailable):
            raise
        text = " ".join(_COLOURS.sub("", str(error)).replace("↳", "").split())
        if any(word in text.lower() for word in _CONFLICTS):
            raise Overtaken(text) from error
        raise place.failure(
            "used as a Delta table",
            PermissionError(text) if "privileges" in text or "403" in text else OSError(text),
        ) from error
