"""What is done to a picture before anything is trained on it: whole or in patches. A study that does not name it takes pictures whole."""

from spaces.domains import Categorical, Choice, Fixed, Int, Text
from spaces.space import Tree

PREPROCESS: Tree = {
    "kind": Choice(
        options={
            "whole": {},
            "patches": {
                # Rows and columns follow from what a part looks like: no list suits every data set.
                "grid": Fixed(
                    default="8x2",
                    source="SDG-GAN: 2048x512 pixels in sixteen patches of 256",
                    within=Categorical(
                        choices=("8x2", "4x1", "4x2", "2x2", "1x4", "2x8"),
                        default="8x2",
                        source="SDG-GAN: 2048x512 pixels in sixteen patches of 256",
                        also=Text(says="rows x columns, such as 6x3"),
                    ),
                ),
                "min_area_px": Fixed(default=8, source="SDG-GAN states none", within=Int(low=1, high=4096, log=True, default=8)),
                "free_from": Fixed(
                    default="free_pictures",
                    source="SDG-GAN, Tables 4-5: 2560 patches of 160 pictures",
                    within=Categorical(choices=("free_pictures", "all_pictures"), default="free_pictures"),
                ),
            },
        },
        default="whole",
        source="SDG-GAN compares both",
        first_is_default=True,
    ),
    "borders": Fixed(
        default="auto",
        source="SDG-GAN removes them; auto: from what is cut",
        within=Categorical(choices=("auto", "keep", "remove"), default="auto"),
    ),
}
"""Settings of `trainables.datasets.preprocessing.PreprocessPart`."""

TASKS = ("classify", "detect")
"""In which whole pictures can be decided by their patches."""

NO_PATCHES = {
    "segment": "pixels of pictures that were squeezed whole and of pictures in patches differ in size, so that their IoU cannot be compared",
    "zero_shot": "a class without images has no patches that could decide",
}
"""Why other tasks do not vary it."""
