"""What TensorBoard reads in a folder of runs, as JSON: of each run its scalars as [step, value], by TensorBoard's own
accumulator, and by its plug-in for hyper-parameters the settings and how the run ended.

Needs tensorboard: read_events.py FOLDER
"""

import json
import os
import sys
import types

# TensorBoard reads without TensorFlow where this module can be imported, which takes a twentieth of the time.
sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

found = {}
for name in sorted(os.listdir(sys.argv[1])):
    events = EventAccumulator(os.path.join(sys.argv[1], name), size_guidance={"scalars": 0})
    events.Reload()
    scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    content = events.PluginTagToContent(metadata.PLUGIN_NAME)
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    settings = {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}
    status = None
    if metadata.SESSION_END_INFO_TAG in content:
        end = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
        status = api_pb2.Status.Name(end.status)
    found[name] = {"scalars": scalars, "settings": settings, "status": status}
print(json.dumps(found))
