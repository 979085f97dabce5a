"""A run with something of everything."""

from dataclasses import replace

from builders import batches, odd_trajectory, run_info, token_details, trajectory
from rlvr.record import Annotation, Blob, ContentPart, Message, Mode
from rlvr.recorder import Recorder
from rlvr.runs import open_run

PICTURE = Blob(
    sha256="ebf4f635a17d10d6eb46ba680b70142419aa3220f228001a036d311a22ee9d2a",
    media_type="image/png",
    data=b"picture",
)
SECRET = "sk-" + "a1B2" * 8


def secretive(**changes):
    """A rollout whose tool showed a key, with token details that spell it."""
    row = trajectory(step=4, batch=4, group_id="train-b000004-g000", **changes)
    shown = replace(row.completion[1], content=f"the key is {SECRET}")
    completion = (row.completion[0], shown, *row.completion[2:])
    info = {"api_key": "hunter2hunter2", "hops": 2}
    return replace(row, completion=completion, info=info, tokens=token_details(40))


def pictured(**changes):
    """A rollout of an evaluation whose prompt has a picture."""
    part = ContentPart(type="image_url", blob=PICTURE.sha256, media_type="image/png")
    text = ContentPart(type="text", text="What is this?")
    return trajectory(
        mode=Mode.EVAL,
        step=3,
        batch=0,
        group_id="eval-b000000-g000",
        advantage=None,
        prompt=(Message(role="user", parts=(text, part)),),
        blobs=(PICTURE,),
        **changes,
    )


def record(output_dir):
    """Steps 0 to 2 of eight rollouts, with tokens in step 1, an evaluation, and what is odd."""
    with Recorder.open(output_dir, info=run_info(run="full"), run="full") as taken:
        for step, batch in enumerate(batches(3)):
            rows = [replace(row, run="full") for row in batch]
            if step == 1:
                rows = [replace(r, tokens=token_details(60, seed=n)) for n, r in enumerate(rows)]
            taken.record_batch(rows)
        taken.record_batch([replace(pictured(sample=n), run="full") for n in range(2)])
        odd = replace(odd_trajectory(), run="full", step=3, batch=3, group_id="train-b000003-g000")
        taken.record_batch([odd])
        taken.record_batch([replace(secretive(), run="full")])
        taken.annotate(
            [
                Annotation(
                    id="train-s000001-b000001-a00-r000-00002",
                    kind="judged: later",
                    source="somebody",
                    payload={"score": float("nan"), "why": "\ud800", "big": 1 << 80},
                )
            ]
        )
    return open_run(output_dir)
