"""What a task finds wrong in training is said at once, and once as long as it lasts."""

from __future__ import annotations

from pipeline.tasks.verification.task import Verification
from pipeline.training.remarks import Remarks, Watched

IDLE = {"train/loss": 0.0, "train/impostor_distance": 0.9, "train/genuine_distance": 0.1, "train/active": 0.0}


def test_alarm_is_said_in_the_first_epoch_of_those_that_raise_it() -> None:
    task = Verification(
        loss="triplet", mining="all", margin=0.3, dimensions=4, threshold=None, pair_weights=None
    )
    watched = Watched("val/auroc", 1, [], has_batch_norms=False, is_averaged=False, num_val=9)
    remarks, history, said = Remarks(watched, task.alarms), [], []
    for epoch, active in enumerate((0.5, 0.0, 0.0, 0.2, 0.0)):
        history.append({**IDLE, "epoch": float(epoch), "train/active": active, "val/auroc": 0.5})
        said += remarks.update(history)
    assert [each.epoch for each in said] == [1, 4]
    assert all(each.text.startswith("no triplet has a loss above 0") for each in said)
    assert Remarks(watched, task.alarms).of(history) == said, "of a training that is resumed, too"
