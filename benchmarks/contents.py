"""The folders of the benchmarks and the tables of results, for the page of papers.py."""

RESULTS = {
    "image_classification/results/cifar100_public/table.md": "CIFAR-100, a public ResNet-56 as the teacher of a ResNet-20",
    "image_classification/results/digits.md": "UCI digits",
    "image_classification/results/digits_methods.md": "UCI digits, each method",
    "image_classification/results/fashion_mnist.md": "Fashion-MNIST",
    "object_detection/results/shapes.md": "detection of drawn shapes",
    "semantic_segmentation/results/shapes.md": "segmentation of drawn shapes",
    "text_classification/results/sst2_minilm.md": "SST-2, three layers of MiniLM from six",
    "text_classification/results/rte_minilm.md": "RTE, three layers of MiniLM from six",
    "text_classification/results/cola_minilm.md": "CoLA, three layers of MiniLM from six",
    "text_classification/results/stsb_minilm.md": "STS-B, three layers of MiniLM from six",
    "text_classification/results/sst2.md": "SST-2, small models from random weights",
    "language_modelling/results/python_docs.md": "language models of Python's documentation",
}
"""A committed table of results → its setting."""

FOLDERS = {
    "image_classification": "digits, CIFAR, ImageNet and other images: recipes, tables of methods, a comparison with a public teacher",
    "object_detection": "COCO: detectors, feature distillation, bottlenecks",
    "semantic_segmentation": "PASCAL VOC and COCO",
    "glue": "GLUE, BERT from BERT",
    "text_classification": "GLUE's small tasks on a real encoder, GoEmotions, SQuAD, CoNLL",
    "language_modelling": "small language models from larger ones",
    "overhead": "time and memory of a step beside a plain loop",
    "input_pipeline": "images per second",
    "teacher_cache": "a teacher that runs once",
    "gpu": "one script for a GPU: tests, time and memory of a step, waits of the host, losses, FSDP2, `torch.compile`",
    "zoo": "published weights, tested",
}
"""Folder → its content."""
