"""Files for others: complete in themselves, without secrets, and what is said of them."""

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

import pytest

from builders import batches, run_info, token_details, write_run
from rlvr.cli import main
from rlvr.cli.app import build
from rlvr.recorder import Recorder
from rlvr.redaction import asked_pattern
from rlvr.viewer.sharing import Options, records_file, report_file
from rlvr.views.web.file import inert_json, written_anew
from viewers import client_of, desk_of

KEY = "sk-" + "aB3dE6gH9j" * 4
PASSWORD = "hunter2-hunter2"
ONE = "train-s000000-b000000-a00-r000-00000"
TWO = "train-s000001-b000001-a00-r000-00001"


@pytest.fixture(scope="module")
def telling(tmp_path_factory):
    """A run whose first rollout shows a key and a password, which its second step repeats."""
    folder = tmp_path_factory.mktemp("telling") / "run"
    info = run_info(run="run", config={"api_key": "0123456789abc"}, system_prompt=f"use {KEY}")
    with Recorder.open(folder, info=info, run="run") as recorder:
        for step, batch in enumerate(batches(2)):
            rows = [replace(row, run="run", tokens=token_details(20)) for row in batch]
            if step == 0:
                said = f"PASSWORD={PASSWORD} and {KEY}, ask ann@example.org about ACME-77"
                rows[0] = replace(rows[0], question=said)
            else:
                rows[1] = replace(rows[1], question=f"it was {PASSWORD} <b>&</b> {KEY}")
            recorder.record_batch(rows)
    return folder


@pytest.fixture
def rlvr(capsys):
    """Runs the command line; returns code, output and talk."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return call


@pytest.fixture(scope="module")
def shared(telling):
    """The file of two of its rollouts."""
    return records_file(desk_of(telling), [ONE, TWO], {}, Options())


class Looked(HTMLParser):
    """What stands in a file."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.hrefs, self.attributes = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id"]
        self.hrefs += [value for name, value in attrs if name == "href"]


def data_of(text):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1]
    )


def test_no_secret_is_in_the_file_and_each_mark_is_accounted_for(shared):
    for secret in (KEY, PASSWORD, "0123456789abc"):
        assert secret not in shared.text
    assert "it was [redacted: named-secret #" in shared.text
    assert {one.pattern for one in shared.replaced} == {"openai-key", "named-secret"}
    assert all(set(one.places) <= {ONE, TWO} for one in shared.replaced)
    assert any("openai-key #" in sentence and ONE in sentence for sentence in shared.said)
    for sentence in shared.said:
        assert sentence in unescape(shared.text)


def test_the_file_stands_alone_and_its_policy_allows_its_one_style(shared):
    looked = Looked(shared.text)
    tags = {tag for tag, _ in looked.tags}
    assert not tags & {"form", "button", "input", "iframe", "img", "link", "object", "base"}
    assert [attrs for tag, attrs in looked.tags if tag == "script"] == [
        {"type": "application/json", "id": "data"}
    ]
    assert not {name for name in looked.attributes if name.startswith("on")} | (
        looked.attributes & {"style", "src", "srcset"}
    )
    (style,) = re.findall(r"<style>(.*?)</style>", shared.text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    (policy,) = [a["content"] for t, a in looked.tags if a.get("http-equiv")]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "url(" not in style.replace("url(#", "")


def test_every_link_leads_to_a_place_in_the_file(shared):
    looked = Looked(shared.text)
    assert len(looked.ids) == len(set(looked.ids))
    assert {"#r1", "#r2", "#about"} <= set(looked.hrefs)
    assert {href.removeprefix("#") for href in looked.hrefs} <= set(looked.ids)


def test_the_data_in_it_are_the_records_without_secrets(shared):
    found = data_of(shared.text)
    assert found["run"] == "run"
    assert re.fullmatch(r"\[redacted: named-secret #\d\]", found["info"]["config"]["api_key"])
    assert found["trajectories"][0]["id"] == ONE
    assert found["trajectories"][1]["question"].startswith("it was [redacted: named-secret #")
    assert "<b>&</b>" in found["trajectories"][1]["question"]
    assert found["replaced"]


def test_json_in_a_page_cannot_end_its_element():
    text = json.dumps({"a": "</script><!-- & \u2028"}, ensure_ascii=False)
    assert json.loads(inert_json(text)) == json.loads(text)
    assert not re.search("[<>&\u2028]", inert_json(text))


def test_a_content_is_written_anew_of_what_only_shows():
    hostile = (
        '<p onclick="a()" style="x" class="k">1 &lt; 2<script>a()</script><img src="//x">'
        '<a href="https://x" data-key="j">out</a><a href="#in">in</a><a href="#b-there">there</a>'
        '<form action="/x"><input name="a">gone</form><blink id="in">kept</blink></p>'
        '<i id="in">i</i><h1>t</h1><br><svg viewBox="0 0 1 1"><rect fill="url(#x-hatch)"/>'
        '<rect fill="url(//x)"/></svg>'
    )
    found = written_anew(
        {"a": hostile, "b": '<b id="there">b</b><a href="#a">a</a>'}, lambda t, _: t
    )
    assert found["a"] == (
        '<p class="k">1 &lt; 2<a>out</a><a href="#a-in">in</a><a href="#b-there">there</a>kept</p>'
        '<i id="a-in">i</i><h2>t</h2><br><svg viewbox="0 0 1 1"><rect fill="url(#x-hatch)"/>'
        "<rect/></svg>"
    )
    assert found["b"] == '<b id="b-there">b</b><a href="#a">a</a>'


def test_a_rollout_with_a_secret_loses_its_tokens_and_others_keep_them(telling):
    desk = desk_of(telling)
    other = "train-s000001-b000001-a00-r000-00000"
    kept = report_file(desk, Options(asked=()))
    assert "What is wrong?" in kept.sections
    from rlvr.runs.shared import SharedRun

    seen = SharedRun(desk.run, Options().redactor)
    assert seen.trajectory(ONE).tokens is None
    assert seen.trajectory(other).tokens is not None


def test_more_is_replaced_when_asked_and_nothing_loudly_when_not(telling):
    desk = desk_of(telling)
    options = Options(private=True, asked=(asked_pattern(r"ACME-\d+"),))
    more = records_file(desk, [ONE], {}, options)
    assert "ann@example.org" not in more.text
    assert "about [redacted: asked #1]" in more.text
    nothing = records_file(desk, [ONE], {}, Options(redact=False))
    assert KEY in nothing.text
    assert 'class="loud"' in nothing.text
    assert nothing.replaced == ()


def test_a_mark_that_was_recorded_is_not_counted(tmp_path):
    (batch,) = batches(1)
    with Recorder.open(tmp_path / "r", run="run") as recorder:
        forged = "[redacted: github-token #1]"
        recorder.record_batch([replace(row, run="run", question=forged) for row in batch])
    assert records_file(desk_of(tmp_path / "r"), [ONE], {}, Options()).replaced == ()


def test_a_file_is_bounded_and_says_what_it_has_no_room_for(telling):
    found = records_file(desk_of(telling), [ONE, TWO], {}, Options(most_chars=100))
    assert found.sections == (ONE,)
    assert found.left_out == (f"1 section for which the file has no more room: {TWO}.",)
    assert "no more room" in found.text


def test_a_report_has_the_verdict_the_run_and_what_is_cited(tmp_path):
    with Recorder.open(tmp_path / "ill", run="ill") as recorder:
        for batch in batches(6):
            flat = [replace(row, run="ill", reward=0.5, advantage=0.0) for row in batch]
            recorder.record_batch(flat)
    found = report_file(desk_of(tmp_path / "ill"), Options())
    assert found.sections[:2] == ("What is wrong?", "The run")
    assert data_of(found.text)["verdict"]["headline"]
    cited = {one["id"] for f in data_of(found.text)["verdict"]["findings"] for one in f["examples"]}
    assert cited
    shown = set(found.sections)
    assert all(id in shown or f"group {id}" in shown for id in cited)


def test_the_command_writes_once_and_says_what_it_wrote(rlvr, telling, tmp_path):
    out = tmp_path / "x.html"
    code, _, err = rlvr("export", telling, ONE, "--html", out)
    assert (code, KEY in out.read_text()) == (0, False)
    assert "openai-key #1" in err
    before = out.read_text()
    code, _, err = rlvr("export", telling, ONE, "--html", out)
    assert (code, "--overwrite" in err, out.read_text() == before) == (2, True, True)
    code, told, _ = rlvr("export", telling, ONE, "--html", out, "--overwrite", "--json")
    (file,) = json.loads(told)["files"]
    assert (code, file["size_bytes"]) == (0, len(out.read_bytes()))
    assert {one["pattern"] for one in file["replaced"]} == {"openai-key", "named-secret"}
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]


def test_a_place_that_takes_no_file_is_explained(rlvr, telling, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = rlvr("export", telling, ONE, "--html", tmp_path / "file" / "x.html")
    assert (code, "writable by this user" in err) == (2, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["export", "RUN", "--html", "x"], "IDs of trajectories"),
        (["export", "RUN", ONE, "--html", "x", "--to", "trl"], "no --to"),
        (["export", "RUN", ONE, "--to", "jsonl"], "--output"),
        (["export", "RUN", "--private", "--to", "jsonl", "--output", "x"], "--private"),
        (["export", "RUN", ONE, "--html", "x", "--no-redact", "--private"], "excludes"),
        (["export", "RUN", ONE, "--html", "x", "--also-redact", "("], "regular expression"),
        (["report", "RUN"], "--html FILE"),
    ],
)
def test_wrong_usage_is_explained(rlvr, telling, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    code, _, err = rlvr(*(str(telling) if one == "RUN" else one for one in given))
    assert (code, said in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_plots_are_drawn_as_svg_and_png_and_kept(rlvr, telling, tmp_path):
    code, _, _ = rlvr("report", telling, "--plots", tmp_path / "p")
    names = {path.name for path in (tmp_path / "p").iterdir()}
    assert (code, {"reward.svg", "reward.png", "components.svg"} <= names) == (0, True)
    code, _, err = rlvr("report", telling, "--plots", tmp_path / "p")
    assert (code, "--overwrite" in err) == (2, True)


GROUP = "train-b000001-g000"


@pytest.mark.parametrize(
    ("path", "name"),
    [(f"/t/{ONE}", ONE), ("/diagnosis", "report-run"), (f"/g/{GROUP}", GROUP)],
)
def test_the_viewer_downloads_what_is_open(telling, path, name):
    client = client_of(telling)
    page = client.get(f"/r/run{path}")
    (link,) = re.findall(r'<a href="([^"]*)" data-key="e"', page.text)
    answer = client.get(unescape(link))
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.html"'
    assert KEY not in answer.text
    assert data_of(answer.text)["run"] == "run"
    assert {href[0] for href in Looked(answer.text).hrefs} == {"#"}


def test_what_can_not_be_downloaded_is_a_page_that_says_so(telling):
    answer = client_of(telling).get("/r/run/t/train-s000009-b000009-a00-r000-00000?export=1")
    assert (answer.status_code, "content-disposition" in answer.headers) == (404, False)


def test_the_help_of_both_commands_names_the_files():
    import typer

    for verb in ("report", "export"):
        command = typer.main.get_command(build()).commands[verb]
        assert {"html", "markdown"} <= {parameter.name for parameter in command.params}


def test_a_run_without_rollouts_has_a_report(tmp_path):
    write_run(tmp_path / "none", steps=0)
    assert "no training rollout" in report_file(desk_of(tmp_path / "none"), Options()).text
