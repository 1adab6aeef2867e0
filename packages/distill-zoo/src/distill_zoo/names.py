"""Enumerations of all names in the zoo, for completion in editors: `load(names.Cifar10.RESNET20)`.

Generated from the cards by `python tests/zoo/test_names.py`.
"""

from ._enum import Named


class Cifar10(Named):
    """Weights for Cifar10."""

    DENSENET_BC_K12_DEPTH100 = "cifar10/densenet_bc_k12_depth100"
    RESNET110 = "cifar10/resnet110"
    RESNET20 = "cifar10/resnet20"
    RESNET32 = "cifar10/resnet32"
    RESNET44 = "cifar10/resnet44"
    RESNET56 = "cifar10/resnet56"
    WIDE_RESNET16_8 = "cifar10/wide_resnet16_8"
    WIDE_RESNET28_10 = "cifar10/wide_resnet28_10"
    WIDE_RESNET40_4 = "cifar10/wide_resnet40_4"


class Cifar100(Named):
    """Weights for Cifar100."""

    DENSENET_BC_K12_DEPTH100 = "cifar100/densenet_bc_k12_depth100"
    WIDE_RESNET16_8 = "cifar100/wide_resnet16_8"
    WIDE_RESNET28_10 = "cifar100/wide_resnet28_10"
    WIDE_RESNET40_4 = "cifar100/wide_resnet40_4"


class Coco2017(Named):
    """Weights for Coco2017."""

    FASTERRCNN_RESNET50_FPN__GHND = "coco2017/fasterrcnn_resnet50_fpn.ghnd"
    LRASPP_MOBILENET_V3_LARGE__KTAAD = "coco2017/lraspp_mobilenet_v3_large.ktaad"
    MASKRCNN_RESNET50_FPN__GHND = "coco2017/maskrcnn_resnet50_fpn.ghnd"


class Digits(Named):
    """Weights for Digits."""

    CONVNET64__CE = "digits/convnet64.ce"
    CONVNET8__CE = "digits/convnet8.ce"
    CONVNET8__KD = "digits/convnet8.kd"
    CONVNET8__KD_UNLABELLED = "digits/convnet8.kd_unlabelled"


class FashionMnist(Named):
    """Weights for FashionMnist."""

    CONVNET64__CE = "fashion_mnist/convnet64.ce"
    CONVNET8__CE = "fashion_mnist/convnet8.ce"
    CONVNET8__KD = "fashion_mnist/convnet8.kd"
    CONVNET8__KD_UNLABELLED = "fashion_mnist/convnet8.kd_unlabelled"


class Glue(Named):
    """Weights for Glue."""

    BERT_BASE_UNCASED_COLA__CE = "glue/bert_base_uncased_cola.ce"
    BERT_BASE_UNCASED_COLA__KD = "glue/bert_base_uncased_cola.kd"
    BERT_BASE_UNCASED_MNLI__CE = "glue/bert_base_uncased_mnli.ce"
    BERT_BASE_UNCASED_MNLI__KD = "glue/bert_base_uncased_mnli.kd"
    BERT_BASE_UNCASED_MRPC__CE = "glue/bert_base_uncased_mrpc.ce"
    BERT_BASE_UNCASED_MRPC__KD = "glue/bert_base_uncased_mrpc.kd"
    BERT_BASE_UNCASED_QNLI__CE = "glue/bert_base_uncased_qnli.ce"
    BERT_BASE_UNCASED_QNLI__KD = "glue/bert_base_uncased_qnli.kd"
    BERT_BASE_UNCASED_QQP__CE = "glue/bert_base_uncased_qqp.ce"
    BERT_BASE_UNCASED_QQP__KD = "glue/bert_base_uncased_qqp.kd"
    BERT_BASE_UNCASED_RTE__CE = "glue/bert_base_uncased_rte.ce"
    BERT_BASE_UNCASED_RTE__KD = "glue/bert_base_uncased_rte.kd"
    BERT_BASE_UNCASED_SST2__CE = "glue/bert_base_uncased_sst2.ce"
    BERT_BASE_UNCASED_SST2__KD = "glue/bert_base_uncased_sst2.kd"
    BERT_BASE_UNCASED_STSB__KD = "glue/bert_base_uncased_stsb.kd"
    BERT_BASE_UNCASED_STSB__MSE = "glue/bert_base_uncased_stsb.mse"
    BERT_BASE_UNCASED_WNLI__CE = "glue/bert_base_uncased_wnli.ce"
    BERT_BASE_UNCASED_WNLI__KD = "glue/bert_base_uncased_wnli.kd"
    BERT_LARGE_UNCASED_COLA = "glue/bert_large_uncased_cola"
    BERT_LARGE_UNCASED_MNLI = "glue/bert_large_uncased_mnli"
    BERT_LARGE_UNCASED_MRPC = "glue/bert_large_uncased_mrpc"
    BERT_LARGE_UNCASED_QNLI = "glue/bert_large_uncased_qnli"
    BERT_LARGE_UNCASED_QQP = "glue/bert_large_uncased_qqp"
    BERT_LARGE_UNCASED_RTE = "glue/bert_large_uncased_rte"
    BERT_LARGE_UNCASED_SST2 = "glue/bert_large_uncased_sst2"
    BERT_LARGE_UNCASED_STSB = "glue/bert_large_uncased_stsb"
    BERT_LARGE_UNCASED_WNLI = "glue/bert_large_uncased_wnli"


class Ilsvrc2012(Named):
    """Weights for Ilsvrc2012."""

    RESNET18__AT = "ilsvrc2012/resnet18.at"
    RESNET18__CRD = "ilsvrc2012/resnet18.crd"
    RESNET18__FT = "ilsvrc2012/resnet18.ft"
    RESNET18__KD = "ilsvrc2012/resnet18.kd"
    RESNET18__KR = "ilsvrc2012/resnet18.kr"
    RESNET18__L2 = "ilsvrc2012/resnet18.l2"
    RESNET18__PAD_L2 = "ilsvrc2012/resnet18.pad_l2"
    RESNET18__SRD = "ilsvrc2012/resnet18.srd"
    RESNET18__SSKD = "ilsvrc2012/resnet18.sskd"
    RESNET18__TFKD = "ilsvrc2012/resnet18.tfkd"


class PascalVoc2012(Named):
    """Weights for PascalVoc2012."""

    DEEPLABV3_RESNET101 = "pascal_voc2012/deeplabv3_resnet101"
    DEEPLABV3_RESNET50 = "pascal_voc2012/deeplabv3_resnet50"


class Timm(Named):
    """Weights of Timm."""

    CONVNEXT_BASE__FB_IN22K_FT_IN1K = "timm/convnext_base.fb_in22k_ft_in1k"
    DEIT_BASE_PATCH16_224__FB_IN1K = "timm/deit_base_patch16_224.fb_in1k"
    REGNETY_160__DEIT_IN1K = "timm/regnety_160.deit_in1k"
    RESNET50__A1_IN1K = "timm/resnet50.a1_in1k"
    VIT_BASE_PATCH16_224__AUGREG2_IN21K_FT_IN1K = "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k"


class Torchvision(Named):
    """Weights of Torchvision."""

    CONVNEXT_BASE = "torchvision/convnext_base"
    DEEPLABV3_RESNET101 = "torchvision/deeplabv3_resnet101"
    DEEPLABV3_RESNET50 = "torchvision/deeplabv3_resnet50"
    EFFICIENTNET_B0 = "torchvision/efficientnet_b0"
    FASTERRCNN_RESNET50_FPN = "torchvision/fasterrcnn_resnet50_fpn"
    MASKRCNN_RESNET50_FPN = "torchvision/maskrcnn_resnet50_fpn"
    MOBILENET_V2 = "torchvision/mobilenet_v2"
    MOBILENET_V3_LARGE = "torchvision/mobilenet_v3_large"
    RESNET101__V2 = "torchvision/resnet101.v2"
    RESNET152__V2 = "torchvision/resnet152.v2"
    RESNET18 = "torchvision/resnet18"
    RESNET34 = "torchvision/resnet34"
    RESNET50__V1 = "torchvision/resnet50.v1"
    RESNET50__V2 = "torchvision/resnet50.v2"
    SWIN_T = "torchvision/swin_t"
    VIT_B_16 = "torchvision/vit_b_16"
