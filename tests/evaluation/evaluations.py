"""Small evaluations for tests: words put into a tiny model's mouth."""

import verifiers as vf

from rlvr.evaluation.evaluate import EvaluationSettings
from rlvr.evaluation.evaluate import evaluate as evaluate_run
from rlvr.evaluation.samplers import EmbeddedModel
from rlvr.inference.spoken import SpokenEngine
from trainings import echo_environment, tiny_policy


def engine(say):
    """An engine that answers what `say` gives for the rendered prompt."""
    model, tokenizer = tiny_policy()
    return SpokenEngine(model, tokenizer, max_model_len=512, say=say)


def speaker(say):
    """A sampler that does."""
    return EmbeddedModel(model="spoken", engine=engine(say))


def right(completion, answer):
    """Whether the answer is the reference."""
    return float(completion[-1]["content"] == answer)


def exam(*, outcome=right, count=6, **options):
    """Questions "Say N.", whose right answer is N."""
    environment = echo_environment(vf.Rubric(funcs=[outcome]), count=count, **options)
    environment.eval_dataset = None
    return environment


def even_right(prompt):
    """Right answers to questions with an even number, and 0 to the others."""
    number = prompt.split("Say ")[1].split(".")[0]
    return number if int(number) % 2 == 0 else "x"


def evaluate(folder, environment=None, sampler=None, *, resume=None, progress=None, **settings):
    """Evaluate, two rollouts an example unless said otherwise."""
    heard = [] if progress is None else progress
    return evaluate_run(
        environment or exam(),
        sampler or speaker(even_right),
        output_dir=folder,
        settings=EvaluationSettings(**({"rollouts": 2} | settings)),
        resume=resume,
        on_progress=heard.append,
    )
