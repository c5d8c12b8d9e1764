"""Running a schedule: how it ends."""

import signal
import time
from pathlib import Path

import pytest
import torch

from mergegraph.plans import Output, plan_of
from mergegraph.running.execute import execute
from mergegraph.running.sinks import TensorSink
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.tasks import op
from mergegraph.testing.evaluation import constant

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")


@pytest.fixture
def alarm():
    """Raise KeyboardInterrupt in the main thread after so many seconds."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_who_interrupts_a_run_gets_it_back_when_no_kernel_is_at_work(alarm):
    began, ended = [], []

    @op(cut="pointwise")
    def slow(tensor):
        began.append(tensor)
        time.sleep(0.6)
        ended.append(tensor)
        return tensor.clone()

    outputs = [
        Output(Path("out"), str(i), slow(constant(torch.full([4], float(i))))) for i in range(3)
    ]
    schedule = make_schedule(plan_of(outputs, []), budget=2**20, threads=2)
    sinks = [TensorSink(each.task.spec) for each in schedule.outputs]
    alarm(0.3)
    with pytest.raises(KeyboardInterrupt):
        execute(schedule, sinks)
    assert began
    assert len(began) == len(ended)
