"""`rlvr show RUN ID --tokens`: what was trained, at a glance, whatever the tokens are."""

import json
import math
import re
from dataclasses import replace

import pytest

from builders import run_info, trajectory
from rlvr.codec import pack_floats
from rlvr.record import (
    UPDATE_EVIDENCE,
    UPDATE_TOKENS,
    Annotation,
    Span,
    TokenDetails,
    TrainingSequence,
)
from rlvr.recorder import Recorder

TEXTS = ["<q>", "who", "\n", " is", " 漢字", "\x1b[2J", "long" * 50, " it", "<a>", "ok"]
NAN = math.nan


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def sequence(**changes) -> TrainingSequence:
    """A prompt of 4 tokens, an answer of 4, a tool's 2, an answer of 2; all is well."""
    found = TrainingSequence(
        ids=[0, 1, 2, 3, 4, 5, 7, 9, 0, 2, 3, 9],
        loss_mask=[0] * 4 + [1] * 4 + [0] * 2 + [1] * 2,
        spans=(
            Span(start=0, stop=4, turn=-1, role="prompt"),
            Span(start=4, stop=8, turn=0, role="assistant"),
            Span(start=8, stop=10, turn=0, role="environment"),
            Span(start=10, stop=12, turn=1, role="assistant"),
        ),
        attended=[1] * 12,
        sampler_logprobs=[NAN] * 4 + [-0.1] * 4 + [NAN] * 2 + [-0.2] * 2,
        trainer_logprobs=[NAN] + [-0.1] * 11,
        entropy=[NAN] + [0.5] * 11,
    )
    return replace(found, **changes)


def written(folder, *sequences, expected=None, vocabulary=TEXTS, notes=()):
    """A run with one trajectory of these training sequences; its id."""
    tokens = TokenDetails(sequences=sequences, expected_ids=expected) if sequences else None
    with Recorder.open(folder, info=run_info()) as recorder:
        if vocabulary:
            recorder.keep_vocabulary(vocabulary)
        (stamped,) = recorder.stamp([trajectory(tokens=tokens)])
        recorder.record_batch([stamped])
        recorder.annotate([replace(note, id=stamped.id) for note in notes])
    return stamped.id


def test_a_sound_trajectory_says_so_and_shows_its_text(rlvr, folder):
    id = written(folder, sequence())
    code, out, _ = rlvr("show", folder, id, "--tokens")
    assert code == 0
    for said in (
        "1 training sequence ── 12 tokens, 6 with a loss",
        "✓ attention saw every token",
        "✓ sampler and trainer agree on every trained token, mean gap 0.0333 nats",
        "✓ no trained id is known to differ",
    ):
        assert said in out
    assert "⚠" not in out
    assert re.search(r"^ +0    <q>who⏎ is$", out, re.M)
    assert re.search(r"^ +4 ●   漢字\\x1b\[2J itok +0\.905 +0\.905 +0\.00$", out, re.M)
    assert "Largest disagreements" not in out
    assert "\x1b" not in out


def test_where_sampler_and_trainer_disagree_is_marked_and_can_be_opened(rlvr, folder):
    trainer = [NAN] + [-0.1] * 4 + [-5.1, -7.1] + [-0.1] * 5
    id = written(folder, sequence(trainer_logprobs=trainer))
    _, out, _ = rlvr("show", folder, id, "--tokens")
    assert "⚠ sampler and trainer disagree beyond 1 nat on 2 of 6 trained tokens" in out
    assert " 漢字⟦\\x1b[2J it⟧ok" in out
    assert "model 0  4 tokens, trained  ⚠ 2 disagree" in out
    worst = out.split("Largest disagreements")[1]
    assert worst.index("0:6") < worst.index("0:5")
    command = re.search(r"rlvr (show .* --token 0:6)", out).group(1)
    code, opened, _ = rlvr(*command.split())
    assert code == 0
    assert "Around token 6" in opened


def test_what_attention_could_not_see_is_named_by_its_writer(rlvr, folder):
    id = written(folder, sequence(attended=[0] * 4 + [1] * 4 + [0] * 2 + [1] * 2))
    _, out, _ = rlvr("show", folder, id, "--tokens")
    assert "⚠ attention could not see 6 of 12 tokens: 4 of the prompt, 2 of the tools" in out
    assert re.search(r"^ +0  ✗ <q>who⏎ is$", out, re.M)
    assert re.search(r"^ +8  ✗ <q>⏎$", out, re.M)
    assert out.count("⚠ unseen") == 2


def test_a_line_holds_tokens_of_one_kind_only(rlvr, folder):
    id = written(folder, sequence(loss_mask=[0] * 4 + [1, 0, 0, 1] + [0] * 2 + [1] * 2))
    _, out, _ = rlvr("show", folder, id, "--tokens")
    assert re.search(r"^ +4 ●   漢字 ", out, re.M)
    assert re.search(r"^ +5    \\x1b\[2J it$", out, re.M)
    assert re.search(r"^ +7 ●  ok ", out, re.M)
    assert "model 0  4 tokens, 2 trained" in out


def test_a_token_without_a_loss_is_no_disagreement(rlvr, folder):
    apart = [NAN] + [-0.1] * 4 + [-9.0] + [-0.1] * 6
    mask = [0] * 4 + [1, 0, 1, 1] + [0] * 2 + [1] * 2
    id = written(folder, sequence(loss_mask=mask, trainer_logprobs=apart))
    out = rlvr("show", folder, id, "--tokens")[1]
    assert "✓ sampler and trainer agree on every trained token" in out
    assert "⟦" not in out.split("newline")[1]


def test_ids_that_should_have_been_others_stand_beside_what_they_should_be(rlvr, folder):
    wanted = [0, 1, 2, 3, 4, 8, 7, 9, 0, 2, 8, 8, 3, 9, 8]
    id = written(folder, sequence(), expected=(wanted, [1, 2]))
    _, out, _ = rlvr("show", folder, id, "--tokens")
    assert " 漢字[-<a>-]{+\\x1b[2J+} itok" in out
    assert "[-<a><a>-] isok" in out
    assert re.search(r"^ +12    \[-<a>-\]$", out, re.M)
    assert "6 served or sampled are missing, 1 were never served or sampled" in out
    assert "⚠ 2 sequences should have been trained, and 1 was" in out


def test_several_sequences_are_shown_one_after_another(rlvr, folder):
    id = written(folder, sequence(), sequence(ids=[9] * 12))
    _, out, _ = rlvr("show", folder, id, "--tokens")
    assert "2 training sequences ── 24 tokens, 12 with a loss" in out
    assert out.index("Sequence 0") < out.index("Sequence 1") < out.index("okokok")


def test_a_trajectory_of_ten_thousand_tokens_is_folded_around_what_is_marked(rlvr, folder):
    count = 10_000
    trainer = [NAN] + [-0.1] * (count - 1)
    trainer[7_000] = -9.0
    id = written(
        folder,
        sequence(
            ids=[9] * count,
            loss_mask=[0] * 2_000 + [1] * (count - 2_000),
            spans=(
                Span(start=0, stop=2_000, turn=-1, role="prompt"),
                Span(start=2_000, stop=count, turn=0, role="assistant"),
            ),
            attended=[1] * count,
            sampler_logprobs=[NAN] * 2_000 + [-0.1] * (count - 2_000),
            trainer_logprobs=trainer,
            entropy=None,
        ),
    )
    _, out, _ = rlvr("show", folder, id, "--tokens")
    assert len(out.splitlines()) < 50
    shown = sum(line.count("ok") for line in out.splitlines() if re.match(" +[0-9,]+ ", line))
    left_out = sum(int(n.replace(",", "")) for n in re.findall(r"… ([0-9,]+) tokens \(--full", out))
    assert shown + left_out == count
    assert "⟦ok⟧" in out
    whole = rlvr("show", folder, id, "--tokens", "--full")[1]
    assert "--full shows" not in whole
    assert sum(line.count("ok") for line in whole.splitlines() if re.match(" +[0-9,]+ ", line)) == (
        count
    )


def test_what_was_not_recorded_is_said_and_never_taken_for_good(rlvr, folder):
    bare = sequence(attended=None, trainer_logprobs=None, entropy=None, spans=())
    id = written(folder, bare, vocabulary=())
    code, out, _ = rlvr("show", folder, id, "--tokens")
    assert code == 0
    assert "∅ what attention could see is not recorded" in out
    assert "∅ sampler and trainer can't be compared" in out
    assert "✓ attention" not in out
    assert "‹0›‹1›‹2›" in out
    assert "of no known role" in out
    lost = sequence(trainer_logprobs=[NAN] * 12)
    other = written(folder / "other", lost)
    assert "can't be compared" in rlvr("show", folder / "other", other, "--tokens")[1]


def test_a_token_that_is_longer_than_the_line_is_cut(rlvr, folder):
    id = written(folder, sequence(ids=[6] * 12))
    out = rlvr("show", folder, id, "--tokens")[1]
    lines = [line for line in out.splitlines() if "longlong" in line]
    assert len(lines) == 12
    assert all("…" in line and len(line) < 140 for line in lines)


def test_each_update_says_how_much_it_clipped_and_how_far_the_policy_had_moved(rlvr, folder):
    logprobs = [pack_floats([-0.1 + math.log(2)] * 6)]
    notes = [
        note(UPDATE_EVIDENCE, 3, {"rank": 1, "micro_batches": [0], "clipped_share": 0.0}),
        note(
            UPDATE_EVIDENCE,
            4,
            {"rank": 1, "micro_batches": [1], "clipped_share": 0.25, "kl_mean": 0.125},
        ),
        note(UPDATE_TOKENS, 4, {"trainer_logprobs": logprobs}),
    ]
    id = written(folder, sequence(), notes=notes)
    out = rlvr("show", folder, id, "--tokens")[1]
    section = out.split("Updates that trained it")[1]
    assert re.search(r"^ +3 +1 +0% +∅ +∅ +-$", section, re.M)
    assert re.search(r"^ +4 +1 +25% +2\.0000 +2\.000 +0\.1250$", section, re.M)


def note(kind, update, payload):
    return Annotation(id="", kind=kind, source="rank 1", update=update, payload=payload)


def test_json_gives_the_arrays(rlvr, folder):
    id = written(folder, sequence())
    code, out, _ = rlvr("show", folder, id, "--tokens", "--json")
    found = json.loads(out)
    assert (code, found["kind"], found["id"]) == (0, "tokens", id)
    (shown,) = found["tokens"]["sequences"]
    assert shown["ids"] == sequence().ids
    assert shown["trainer_logprobs"][:2] == ["NaN", -0.1]
    assert found["texts"][0][1] == "who"
    assert found["updates"] == []


def test_without_token_details_it_says_which_flag_keeps_them_and_which_steps_have_them(
    rlvr, folder
):
    id = written(folder)
    code, out, _ = rlvr("show", folder, id, "--tokens")
    assert code == 1
    assert "--log-token-details" in out
    code, out, _ = rlvr("show", folder, id, "--tokens", "--json")
    assert code == 1
    assert json.loads(out)["tokens"] is None


@pytest.mark.parametrize(
    "arguments",
    [["--tokens"], ["{id}", "--tokens", "--turn", "0"], ["{group}", "--tokens"]],
)
def test_what_tokens_can_not_show_is_wrong_usage(rlvr, folder, arguments):
    id = written(folder, sequence())
    named = [word.format(id=id, group=trajectory().group_id) for word in arguments]
    code, out, err = rlvr("show", folder, *named)
    assert (code, out) == (2, "")
    assert "--tokens" in err


def test_the_samples_show_their_defect_and_its_repair_at_once(rlvr):
    one = "train-s000000-b000000-a00-r000-00001"
    broken = rlvr("show", "--sample", "upstream", one, "--tokens")[1]
    assert broken[: broken.index("\nprompt")].count("⚠") == 3
    assert rlvr("show", "--sample", "repaired", one, "--tokens")[1].count("⚠") == 0
