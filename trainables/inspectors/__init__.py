"""The inspectors: the networks that a plant would run, trained on real images with or without synthetic ones beside them."""

INSPECTORS = {
    "resnet18": "trainables.inspectors.torchvision_networks:ResNet18",
    "resnet50": "trainables.inspectors.torchvision_networks:ResNet50",
    "mobilenet_v2": "trainables.inspectors.torchvision_networks:MobileNetV2",
    "efficientnet_v2_s": "trainables.inspectors.torchvision_networks:EfficientNetV2S",
    "inception_v3": "trainables.inspectors.torchvision_networks:InceptionV3",
    "fcn": "trainables.inspectors.fcn:FCN",
    "inception_cnn": "trainables.inspectors.sdg_cnns:InceptionCNN",
    "baseline_cnn": "trainables.inspectors.sdg_cnns:BaselineCNN",
    "cnn_sca": "trainables.inspectors.cnn_sca:CnnSca",
    "segdecnet": "trainables.inspectors.segdecnet:SegDecNet",
    "deeplabv3plus": "trainables.inspectors.segmenters:DeepLabV3Plus",
    "pan": "trainables.inspectors.segmenters:PAN",
    "timm:<name>": "trainables.inspectors.timm_networks:timm_kind",
    "smp:<name>": "trainables.inspectors.segmenters:smp_kind",
}
"""Name -> the inspector's class; a name with `<name>` in it stands for many, and its object makes the class of what a study puts there."""

FILES = ("start_from", "weights")
"""Settings of inspectors that name a file of weights."""
