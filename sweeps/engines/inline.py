"""The in-process engine: units one after another, for a notebook, a debugger, a test or a single point."""

import time
from contextlib import closing

from contrast.stage import Memory
from sweeps.controller import Controller, Signal, WorkUnit
from sweeps.engines.worker import Message, Place, execute


def run(controller: Controller, place: Place) -> None:
    """Run until the controller is done."""
    memory = Memory()
    while True:
        unit = controller.next()
        if unit is Signal.DONE:
            return
        if isinstance(unit, Signal):
            time.sleep(controller.idle() or 0.0)  # nothing runs here while we wait
            continue
        run_unit(controller, unit, place, memory)


def run_unit(controller: Controller, unit: WorkUnit, place: Place, memory: Memory) -> None:
    """Run one unit and tell the controller what becomes of it."""
    with closing(execute(unit, place, memory)) as messages:
        for message in messages:
            if tell(controller, unit, message) is Signal.STOP:
                break
    if unit.number in controller.running:
        controller.finished(unit)


def tell(controller: Controller, unit: WorkUnit, message: Message) -> Signal:
    """Pass a worker's message on to the controller; STOP when the unit is to end."""
    stage = unit.stages[message.index]
    if message.kind == "began":
        return controller.began(unit) if message.index == 0 else Signal.CONTINUE
    if message.kind == "epoch":
        return controller.report(unit, stage, message.epoch, message.metrics)
    if message.kind == "committed":
        return controller.committed(unit, stage)
    controller.failed(unit, stage, message.cause, message.text)
    return Signal.STOP
