"""Matching: layers are paired by order and shape, as many as can be; names do not matter."""

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pipeline.networks.build import build
from pipeline.transfer.matching import Account, load_matching
from tests.plans.models import plan_conf, plan_lists, section
from tests.refusals import refused

COUNTER = "num_batches_tracked"


def make_network(*, seed: int, classes: int = 5) -> nn.Sequential:
    """A convolution of 3*8*9 + 8 numbers, a norm of 4*8, another pair, a head of 8 * classes + classes."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, classes))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert isinstance(tensor, Tensor)
                nn.init.uniform_(tensor)
            module.num_batches_tracked.fill_(seed)
    return network


CONV_1, NORM, CONV_2, HEAD = 3 * 8 * 9 + 8, 4 * 8, 8 * 8 * 9 + 8, 8 * 5 + 5
TOTAL = CONV_1 + NORM + CONV_2 + NORM + HEAD
NAMES = ["0", "1", "2", "3", "5"]


def renamed(network: nn.Module, prefix: str = "body.part") -> dict[str, Tensor]:
    """Return a network's tensors under other names of layers, in the same order."""
    names: dict[str, str] = {}
    tensors = {}
    for key, tensor in network.state_dict().items():
        layer, _, name = key.rpartition(".")
        names.setdefault(layer, f"{prefix}{len(names)}")
        tensors[f"{names[layer]}.{name}"] = tensor.clone()
    return tensors


def without_counters(network: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in network.state_dict().items() if not key.endswith(COUNTER)}


def assert_same(left: nn.Module, right: nn.Module) -> None:
    torch.testing.assert_close(without_counters(left), without_counters(right), rtol=0, atol=0)


def test_same_network_under_other_names_is_loaded_whole() -> None:
    ours, theirs = make_network(seed=1), make_network(seed=2)
    account = load_matching(ours, renamed(theirs), source="x")
    assert_same(ours, theirs)
    assert account == Account(
        matched=[(name, f"body.part{index}") for index, name in enumerate(NAMES)],
        kept=[],
        unused=[],
        loaded=TOTAL,
        total=TOTAL,
    )
    assert str(account) == f"loaded 5 of 5 layers, {TOTAL:,} of {TOTAL:,} numbers"


def test_batches_are_counted_anew() -> None:
    ours = make_network(seed=1)
    load_matching(ours, renamed(make_network(seed=2)), source="x")
    assert [int(tensor) for key, tensor in ours.state_dict().items() if key.endswith(COUNTER)] == [1, 1]


def test_loading_keeps_what_is_trained_and_copies() -> None:
    ours, theirs = make_network(seed=1), make_network(seed=2)
    parameters = list(ours.parameters())
    load_matching(ours, theirs.state_dict(), source="x")
    assert all(left is right for left, right in zip(ours.parameters(), parameters, strict=True))
    assert all(parameter.requires_grad and parameter.grad_fn is None for parameter in ours.parameters())
    nn.init.zeros_(theirs[0].weight)
    assert ours[0].weight.any()


def test_another_head_alone_keeps_its_start() -> None:
    ours, before, theirs = make_network(seed=1), make_network(seed=1), make_network(seed=2, classes=7)
    account = load_matching(ours, renamed(theirs), source="x")
    assert_same(ours[:-1], theirs[:-1])
    assert_same(ours[-1], before[-1])
    assert (account.kept, account.unused) == (["5"], ["body.part4"])
    assert str(account).splitlines() == [
        f"loaded 4 of 5 layers, {TOTAL - HEAD:,} of {TOTAL:,} numbers",
        "  initialised here: 5; unused there: body.part4",
    ]


def test_layer_that_only_the_checkpoint_has_is_passed_over() -> None:
    ours, theirs = make_network(seed=1), make_network(seed=2)
    longer = nn.Sequential(nn.Linear(2, 2), *theirs[:2], nn.Conv2d(8, 4, 1), *theirs[2:], nn.Linear(3, 3))
    account = load_matching(ours, longer.state_dict(), source="x")
    assert_same(ours, theirs)
    assert account.matched == [("0", "1"), ("1", "2"), ("2", "4"), ("3", "5"), ("5", "7")]
    assert (account.kept, account.unused) == ([], ["0", "3", "8"])
    assert str(account).splitlines()[1:] == ["  unused there: 0, 3 and 1 more"]
    assert account.table().splitlines()[1:3] == ["  unused there: 0, 3, 8", "0 <- 1"]


def test_layer_without_a_bias_is_not_one_with_a_bias() -> None:
    ours = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    account = load_matching(ours, {"a.weight": torch.eye(2)}, source="x")
    assert account.matched == [("1", "a")]
    assert account.loaded == 4


def test_checkpoint_in_half_precision_is_read_into_single() -> None:
    ours = nn.Linear(2, 1)
    load_matching(
        ours, {"a.weight": torch.tensor([[0.5, 2.0]]).half(), "a.bias": torch.ones(1).half()}, source="x"
    )
    assert ours.weight.dtype == torch.float32
    assert ours.weight.tolist() == [[0.5, 2.0]]


def test_account_is_added_up_by_hand_and_its_table_lists_each_pair() -> None:
    ours = nn.Sequential(nn.Linear(1000, 2), nn.Linear(2, 3), nn.Linear(3, 4), nn.Linear(4, 5))
    tensors = {
        "stem.weight": torch.zeros(2, 1000), "stem.bias": torch.zeros(2),
        "extra.weight": torch.zeros(9),
        "body.weight": torch.zeros(4, 3), "body.bias": torch.zeros(4),
    }  # fmt: skip
    account = load_matching(ours, tensors, source="x")
    assert account.loaded == (2000 + 2) + (12 + 4)
    assert account.total == account.loaded + (6 + 3) + (20 + 5)
    assert account.table().splitlines() == [
        "loaded 2 of 4 layers, 2,018 of 2,052 numbers",
        "  initialised here: 1, 3",
        "  unused there: extra",
        "0 <- stem",
        "2 <- body",
    ]
    assert account.table().endswith("\n")


def test_checkpoint_that_fits_nowhere_is_refused_and_changes_nothing() -> None:
    ours, before = make_network(seed=1), make_network(seed=1)
    text = (
        "model.pretrained: none of the checkpoint's 2 layers has the shapes of a layer of the network, got "
        "'package:cats'; choose the network that it was trained with"
    )
    with refused("model.pretrained", got="package:cats", hint="choose the network", text=text):
        load_matching(
            ours, {"a.weight": torch.zeros(3), "b.weight": torch.zeros(8, 5)}, source="package:cats"
        )
    assert_same(ours, before)


def test_a_classifier_gives_all_but_its_head_to_the_same_one_with_other_outputs() -> None:
    shape = (3, 32, 32)
    ours = build(plan_conf("model=resnet20", shape=shape, outputs=10), seed=1)
    theirs = build(plan_conf("model=resnet20", shape=shape, outputs=7), seed=2)
    account = load_matching(ours, renamed(theirs), source="x")
    assert len(account.matched) == 2 * 19  # a convolution and a norm each
    assert account.kept == ["head.2"]
    assert_same(ours.get_submodule("layers"), theirs.get_submodule("layers"))


def test_a_classifier_gives_the_way_down_to_a_unet_on_it() -> None:
    shape = (3, 64, 64)
    ours = build(plan_conf("model=unet_on", "model@model.encoder=resnet18", shape=shape, outputs=3), seed=1)
    theirs = build(plan_conf("model=resnet18", shape=shape, outputs=1000), seed=2)
    account = load_matching(ours, renamed(theirs), source="x")
    assert account.unused == [
        "body.part40"
    ]  # the classifier's linear layer, behind 20 convolutions and norms
    loaded = {key for name, _ in account.matched for key in ours.state_dict() if key.startswith(f"{name}.")}
    found = [
        tensor for key, tensor in ours.state_dict().items() if key in loaded and not key.endswith(COUNTER)
    ]
    wanted = list(without_counters(theirs.get_submodule("layers")).values())
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_googlenet_gives_its_classifier_to_one_without_side_heads() -> None:
    shape = (3, 96, 96)
    model = section("model=googlenet")
    plain = [each for each in model["layers"] if not (isinstance(each, dict) and "auxiliary" in each)]
    theirs = build(plan_lists(model["layers"], model["head"], shape=shape, outputs=5), seed=1)
    ours = build(plan_lists(plain, model["head"], shape=shape, outputs=5), seed=2)
    account = load_matching(ours, renamed(theirs), source="x")
    assert account.kept == []
    assert len(account.unused) == 2 * 3  # a convolution and two linear layers each
    torch.testing.assert_close(
        ours.get_submodule("head").state_dict(), theirs.get_submodule("head").state_dict()
    )


# Which pairs: a longest common subsequence, and of those one with the fewest gaps.


def layers_of(sizes: Sequence[int]) -> dict[str, Tensor]:
    """A layer for each number, whose weight has so many numbers."""
    return {f"layer{index}.weight": torch.full((size,), float(index)) for index, size in enumerate(sizes)}


def get_network(sizes: Sequence[int]) -> nn.ModuleDict:
    """The same as a module; its numbers start below zero."""
    modules = {name.removesuffix(".weight"): nn.Module() for name in layers_of(sizes)}
    for module, size in zip(modules.values(), sizes, strict=True):
        module.weight = nn.Parameter(torch.full((size,), -1.0))
    return nn.ModuleDict(modules)


def longest_common(left: Sequence[int], right: Sequence[int]) -> int:
    """Try every part of the left list, longest first."""
    for length in range(len(left), 0, -1):
        for part in combinations(left, length):
            rest = iter(right)
            if all(each in rest for each in part):
                return length
    return 0


def test_longest_common_subsequence_by_hand() -> None:
    assert longest_common([1, 2, 3, 1], [2, 1, 3, 3, 1]) == 3
    assert longest_common([1, 1], [2, 3]) == longest_common([], [1]) == 0


def fewest_gaps(left: Sequence[int], right: Sequence[int], length: int) -> int:
    """Try every way to pair so many equal numbers in equal order."""
    places = [
        zip(ours, theirs, strict=True)
        for ours in combinations(range(len(left)), length)
        for theirs in combinations(range(len(right)), length)
        if all(left[i] == right[j] for i, j in zip(ours, theirs, strict=True))
    ]
    return min(gaps(list(pairs), len(left), len(right)) for pairs in places)


def gaps(pairs: Sequence[tuple[int, int]], rows: int, columns: int) -> int:
    """Count where a pair does not directly follow the one before, or the start, or lead to the end, of both."""
    return sum((c, d) != (a + 1, b + 1) for (a, b), (c, d) in pairwise([(-1, -1), *pairs, (rows, columns)]))


def test_gaps_by_hand() -> None:
    assert gaps([(0, 0), (1, 1)], 2, 2) == 0
    assert gaps([(0, 0), (1, 2)], 2, 3) == 1
    assert gaps([(0, 1), (1, 2)], 3, 4) == 2
    assert fewest_gaps([1, 2], [1, 2, 1, 2], 2) == 1
    assert fewest_gaps([1, 3, 2], [1, 2, 3, 2], 3) == 1


sizes = st.lists(st.integers(1, 3), min_size=1, max_size=8)


@given(sizes, sizes)
def test_as_many_layers_are_paired_as_can_be_with_the_fewest_gaps(ours: list[int], theirs: list[int]) -> None:
    network, wanted = get_network(ours), longest_common(ours, theirs)
    if not wanted:
        with refused("model.pretrained", got="x", hint="the network that it was trained with"):
            load_matching(network, layers_of(theirs), source="x")
        return
    account = load_matching(network, layers_of(theirs), source="x")
    pairs = [(int(left[5:]), int(right[5:])) for left, right in account.matched]
    assert len(pairs) == wanted
    assert gaps(pairs, len(ours), len(theirs)) == fewest_gaps(ours, theirs, wanted)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    assert all(ours[a] == theirs[b] for a, b in pairs)
    starts = [float(module.weight.detach()[0]) for module in network.values()]
    found = dict(pairs)
    assert starts == [found.get(index, -1.0) for index in range(len(ours))]
    assert {*account.kept, *(name for name, _ in account.matched)} == set(network)
    assert len(account.unused) == len(theirs) - wanted
    assert account.loaded == sum(ours[a] for a, _ in pairs)


# A body of layers 1, 2, 3 and a classifier 9; two side heads of 4, 5 and a last layer like the classifier.
PLAIN = [1, 2, 3, 9]
WITH_SIDES = [
    ([1, 4, 5, 9, 2, 4, 5, 9, 3, 9], [0, 4, 8, 9]),  # each where it leaves the body
    ([1, 2, 3, 4, 5, 9, 4, 5, 9, 9], [0, 1, 2, 9]),  # behind the body, as torchvision has them
]
EACH_ORDER = pytest.mark.parametrize(("sizes", "body"), WITH_SIDES, ids=["between", "behind"])


@EACH_ORDER
def test_checkpoint_with_side_heads_gives_its_classifier(sizes: list[int], body: list[int]) -> None:
    network = get_network(PLAIN)
    account = load_matching(network, layers_of(sizes), source="x")
    assert account.matched == [(f"layer{i}", f"layer{j}") for i, j in enumerate(body)]
    assert [float(module.weight.detach()[0]) for module in network.values()] == body


@EACH_ORDER
def test_network_with_side_heads_takes_the_classifier_for_its_own(sizes: list[int], body: list[int]) -> None:
    account = load_matching(get_network(sizes), layers_of(PLAIN), source="x")
    assert account.matched == [(f"layer{i}", f"layer{j}") for j, i in enumerate(body)]
