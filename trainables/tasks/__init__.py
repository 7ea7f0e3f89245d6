"""The tasks: what an inspector is to do with an image, and so what it is taught, what it says, and how that is scored."""

from typing import Literal

TaskName = Literal["classify", "segment", "detect"]

TASKS: dict[TaskName, str] = {
    "classify": "trainables.tasks.classify:Classify",
    "segment": "trainables.tasks.segment:Segment",
    "detect": "trainables.tasks.detect:Detect",
}
"""Name -> the task. Inspectors say by `task` which one they are for."""
