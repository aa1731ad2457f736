"""Write a run for TensorBoard: a loss that gets smaller."""

import math
import sys

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

writer = EventFileWriter(f"{sys.argv[1]}/example")
for step in range(100):
    loss = Summary.Value(tag="loss", simple_value=math.exp(-step / 25))
    event = Event(wall_time=1_800_000_000 + step, step=step, summary=Summary(value=[loss]))
    writer.add_event(event)
writer.close()
