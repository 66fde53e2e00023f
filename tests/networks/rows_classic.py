"""Rows of the classics: linear to ResNeXt. What is published stands as a number; the rest is summed by hand.

A convolution is (kernel, channels that one filter sees, filters, rows of its square output); a linear layer is one
with kernel 1 and 1 row.
"""

from collections.abc import Sequence

from tests.networks.row import Row

Conv = tuple[int, int, int, int]


def weigh(layers: Sequence[Conv], *, per_filter: int = 1) -> int:
    """Weights of layers; per filter 1 for its bias, 2 for a batch norm instead, or 0."""
    return sum((kernel**2 * seen + per_filter) * filters for kernel, seen, filters, _ in layers)


def multiply(*lists: Sequence[Conv]) -> int:
    """Multiply-adds of layers: output elements times inputs per output."""
    return sum(kernel**2 * seen * filters * rows**2 for each in lists for kernel, seen, filters, rows in each)


def list_vgg(repeats: Sequence[int]) -> list[Conv]:
    """Layers of a VGG at 224x224 (Simonyan and Zisserman 2014, table 1): so many convolutions before each pool."""
    layers, seen = [], 3
    for stage, (repeat, filters) in enumerate(zip(repeats, (64, 128, 256, 512, 512), strict=True)):
        for _ in range(repeat):
            layers.append((3, seen, filters, 224 // 2**stage))
            seen = filters
    return [*layers, (1, 7 * 7 * 512, 4096, 1), (1, 4096, 4096, 1), (1, 4096, 1000, 1)]


def list_basic(repeats: Sequence[int], *, first: int, rows: int, projects: bool = True) -> list[Conv]:
    """Layers of a ResNet's stages of two 3x3 convolutions each (He et al. 2015, figure 5, left)."""
    layers, seen = [], first
    for stage, repeat in enumerate(repeats):
        filters, side = first * 2**stage, rows // 2**stage
        for _ in range(repeat):
            layers += [(3, seen, filters, side), (3, filters, filters, side)]
            layers += [(1, seen, filters, side)] if projects and seen != filters else []
            seen = filters
    return layers


def list_bottlenecks(repeats: Sequence[int], *, inner: int = 64, groups: int = 1) -> list[Conv]:
    """Layers of a ResNet's stages of bottlenecks at 224x224 (figure 5, right), their strides at the 3x3."""
    layers, seen = [], 64
    for stage, repeat in enumerate(repeats):
        width, filters, side = inner * 2**stage, 256 * 2**stage, 56 // 2**stage
        for turn in range(repeat):
            before = 2 * side if stage > 0 and turn == 0 else side
            layers += [(1, seen, width, before), (3, width // groups, width, side), (1, width, filters, side)]
            layers += [(1, seen, filters, side)] if turn == 0 else []
            seen = filters
    return layers


MLP = [(1, 784, 512, 1), (1, 512, 512, 1), (1, 512, 10, 1)]
CONV_MNIST = [(3, 1, 64, 28), (1, 14 * 14 * 64, 10, 1)]
LENET5 = [(5, 1, 6, 28), (5, 6, 16, 10), (5, 16, 120, 1), (1, 120, 84, 1), (1, 84, 10, 1)]
# S2 and S4 have a coefficient and a bias per map; of C3's filters 6 see three maps, 9 see four, 1 sees all six.
LENET5_AT_80 = [(5, 1, 6, 76), (5, 6, 16, 34), (5, 16, 120, 13), (1, 120, 84, 13), (1, 84, 10, 13)]
LENET5_1998 = [
    (5, 1, 6, 28), (1, 1, 6, 14),
    (5, 3, 6, 10), (5, 4, 9, 10), (5, 6, 1, 10), (1, 1, 16, 5),
    (5, 16, 120, 1), (1, 120, 84, 1), (1, 84, 10, 1),
]  # fmt: skip
ALEXNET_HEAD = [(1, 6 * 6 * 256, 4096, 1), (1, 4096, 4096, 1), (1, 4096, 1000, 1)]
ALEXNET = [(11, 3, 96, 55), (5, 48, 256, 27), (3, 256, 384, 13), (3, 192, 384, 13), (3, 192, 256, 13)]
ONE_TOWER = [(11, 3, 64, 55), (5, 64, 192, 27), (3, 192, 384, 13), (3, 384, 256, 13), (3, 256, 256, 13)]
NIN = [
    (5, 3, 192, 32), (1, 192, 160, 32), (1, 160, 96, 32),
    (5, 96, 192, 16), (1, 192, 192, 16), (1, 192, 192, 16),
    (3, 192, 192, 8), (1, 192, 192, 8), (1, 192, 10, 8),
]  # fmt: skip
FCN = [
    (3, 3, 96, 32), (3, 96, 96, 32), (3, 96, 96, 16),
    (3, 96, 192, 16), (3, 192, 192, 16), (3, 192, 192, 8),
    (3, 192, 192, 8), (1, 192, 192, 8), (1, 192, 10, 8),
]  # fmt: skip

STEM, LINEAR_512, LINEAR_2048 = [(7, 3, 64, 112)], [(1, 512, 1000, 1)], [(1, 2048, 1000, 1)]
RESNET18 = list_basic((2, 2, 2, 2), first=64, rows=56)
RESNET34 = list_basic((3, 4, 6, 3), first=64, rows=56)
PLAIN18 = list_basic((2, 2, 2, 2), first=64, rows=56, projects=False)
PLAIN34 = list_basic((3, 4, 6, 3), first=64, rows=56, projects=False)
RESNET50, RESNET101 = list_bottlenecks((3, 4, 6, 3)), list_bottlenecks((3, 4, 23, 3))
RESNET152 = list_bottlenecks((3, 8, 36, 3))
RESNEXT50 = list_bottlenecks((3, 4, 6, 3), inner=128, groups=32)
SMALL_STEM, LINEAR_64 = [(3, 3, 16, 32)], [(1, 64, 10, 1)]
LOCALIZER = [
    (3, 1, 16, 32),
    *list_basic((1, 2, 3), first=16, rows=32),
    (1, 64, 16, 8),
    (1, 8 * 8 * 16, 128, 1),
]
LINEAR_128 = [(1, 128, 15, 1)]
RESNET20 = list_basic((3, 3, 3), first=16, rows=32, projects=False)
RESNET56 = list_basic((9, 9, 9), first=16, rows=32, projects=False)

# Two numbers per channel of each batch norm: behind the stem; in each stage one per convolution, that is before it
# or, in the first stage's first block, between the two; before the head. pytorchcv's preresnet18, 11,687,848, has one
# more, of 64 channels, before the first block.
PREACT_NORMS = 2 * (64 + 3 * 64 + (64 + 3 * 128) + (128 + 3 * 256) + (256 + 3 * 512) + 512)
PREACT_WEIGHTS = weigh([*STEM, *RESNET18], per_filter=0) + weigh(LINEAR_512) + PREACT_NORMS

CLASSIC: list[Row] = [
    #   name                image (C, H, W)  outputs  weights      multiply-adds
    Row("linear",           (1, 28, 28),     10,      7_850,       784 * 10),
    Row("mlp",              (1, 28, 28),     10,      669_706,     multiply(MLP)),  # Keras' mnist_mlp has these
    Row("conv_mnist",       (1, 28, 28),     10,      weigh(CONV_MNIST), multiply(CONV_MNIST)),
    Row("lenet5",           (1, 32, 32),     10,      61_706,      multiply(LENET5)),
    Row("lenet5_1998",      (1, 32, 32),     10,      60_000 + 850, multiply(LENET5_1998)),  # the paper's, and ours
    # LeNet-5 at (80 - 32) / 4 + 1 = 13 windows below and beside each other.
    Row("fully_convolutional", (1, 80, 80),  10,      61_706,      multiply(LENET5_AT_80)),
    Row("alexnet",          (3, 224, 224),   1000,    60_965_224,  multiply(ALEXNET, ALEXNET_HEAD)),
    # torchvision states weights, and multiply-adds in billions: 0.714
    Row("alexnet_one_tower", (3, 224, 224),  1000,    61_100_840,  multiply(ONE_TOWER, ALEXNET_HEAD)),
    # torchvision: 7.609, 11.308, 15.47, 19.632
    Row("vgg11",            (3, 224, 224),   1000,    132_863_336, multiply(list_vgg((1, 1, 2, 2, 2)))),
    Row("vgg13",            (3, 224, 224),   1000,    133_047_848, multiply(list_vgg((2, 2, 2, 2, 2)))),
    Row("vgg16",            (3, 224, 224),   1000,    138_357_544, multiply(list_vgg((2, 2, 3, 3, 3)))),
    Row("vgg19",            (3, 224, 224),   1000,    143_667_240, multiply(list_vgg((2, 2, 4, 4, 4)))),
    Row("nin",              (3, 32, 32),     10,      966_986,     multiply(NIN)),  # pytorchcv's nin_cifar10
    # torchvision: 1.814, 3.664, 4.089, 7.801, 11.514; ResNeXt 4.23
    Row("resnet18",         (3, 224, 224),   1000,    11_689_512,  multiply(STEM, RESNET18, LINEAR_512)),
    Row("resnet34",         (3, 224, 224),   1000,    21_797_672,  multiply(STEM, RESNET34, LINEAR_512)),
    Row("resnet50",         (3, 224, 224),   1000,    25_557_032,  multiply(STEM, RESNET50, LINEAR_2048)),
    Row("resnet101",        (3, 224, 224),   1000,    44_549_160,  multiply(STEM, RESNET101, LINEAR_2048)),
    Row("resnet152",        (3, 224, 224),   1000,    60_192_808,  multiply(STEM, RESNET152, LINEAR_2048)),
    Row("resnext50_32x4d",  (3, 224, 224),   1000,    25_028_904,  multiply(STEM, RESNEXT50, LINEAR_2048)),
    Row("plain18",          (3, 224, 224),   1000,
        weigh([*STEM, *PLAIN18], per_filter=2) + weigh(LINEAR_512), multiply(STEM, PLAIN18, LINEAR_512)),
    Row("plain34",          (3, 224, 224),   1000,
        weigh([*STEM, *PLAIN34], per_filter=2) + weigh(LINEAR_512), multiply(STEM, PLAIN34, LINEAR_512)),
    Row("preact_resnet18",  (3, 224, 224),   1000,    PREACT_WEIGHTS, multiply(STEM, RESNET18, LINEAR_512)),
    Row("resnet20",         (3, 32, 32),     10,      269_722,     multiply(SMALL_STEM, RESNET20, LINEAR_64)),
    Row("resnet56",         (3, 32, 32),     10,      853_018,     multiply(SMALL_STEM, RESNET56, LINEAR_64)),
    Row("localizer",        (1, 64, 64),     15,
        weigh(LOCALIZER, per_filter=2) + weigh(LINEAR_128), multiply(LOCALIZER, LINEAR_128)),
    Row("fcn",              (3, 32, 32),     10,      1_369_738,   multiply(FCN)),
]  # fmt: skip
