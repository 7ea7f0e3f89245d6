"""The inspectors: the networks that a plant would run, trained on real images with or without synthetic ones beside them."""

INSPECTORS = {
    "resnet18": "trainables.inspectors.classifiers:ResNet18",
    "mobilenet_v2": "trainables.inspectors.classifiers:MobileNetV2",
    "fcn": "trainables.inspectors.classifiers:FCN",
}
"""Name -> the inspector's family object."""
