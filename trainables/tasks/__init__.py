"""The tasks: what an inspector is to do with an image, and so what it is taught, what it says, and how that is scored."""

from typing import Literal

TaskName = Literal["classify", "segment", "detect", "zero_shot"]

TASKS: dict[TaskName, str] = {
    "classify": "trainables.tasks.classify:Classify",
    "segment": "trainables.tasks.segment:Segment",
    "detect": "trainables.tasks.detect:Detect",
    "zero_shot": "trainables.zero_shot.split:ZeroShot",
}
"""Name -> the task. Inspectors say by `task` which one they are for; those that classify also serve zero_shot."""
