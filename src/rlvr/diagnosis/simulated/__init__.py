"""A fake: recorded runs with the statistics of a training, made without a model.

    from rlvr.diagnosis import diagnose
    from rlvr.diagnosis.simulated import (
        Fault, SimulatedFault, faulty_run, healthy_run, simulated_evidence
    )

    verdict = diagnose(simulated_evidence(healthy_run(7)))
    broken = faulty_run(Fault.TOOL_FAILS, strength=0.5, onset=10)
    also_broken = healthy_run(7).with_faults(SimulatedFault(kind=Fault.HIDDEN_CONTEXT))

The trajectories are real records, so all that is derived from them is what a recorded run has. It
answers two questions that trainings are too slow for: how often the diagnosis calls a healthy run
broken, and from which strength on it sees a fault. It is no substitute for a training: what nobody
put into it can't be found in it.
"""

from rlvr.diagnosis.simulated.evidence import simulated_evidence, simulated_trajectories
from rlvr.diagnosis.simulated.healthy import faulty_run, healthy_run
from rlvr.diagnosis.simulated.settings import (
    FAULT_CODES,
    Fault,
    SimulatedFault,
    SimulatedRun,
    Task,
)

__all__ = [
    "FAULT_CODES",
    "Fault",
    "SimulatedFault",
    "SimulatedRun",
    "Task",
    "faulty_run",
    "healthy_run",
    "simulated_evidence",
    "simulated_trajectories",
]
