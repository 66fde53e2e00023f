"""The description of a run in MLflow: what was trained, its score, where its results are."""

from pipeline.declaration.composition import compose
from pipeline.training.description import describe_run


def test_description_of_a_run_holds_its_declaration_in_short_its_score_and_its_folder() -> None:
    declaration = compose(["experiment=digits_lenet5", "seed=3", "trainer.max_epochs=7", "model.name='<b>'"])
    scores, remarks = {"score": 0.98765, "epoch": 4.0}, ["epoch 3: <b>"]
    note = describe_run(declaration, scores, score="accuracy", folder="runs/0a", remarks=remarks)
    assert note == (
        "&lt;b&gt; on digits: `val/accuracy` **0.9877** in epoch 5 of 7, seed 3, batches of "
        f"{declaration.trainer.batch_size}. Results: `runs/0a`; report: `artifacts/report/report.html` after "
        "`dvc repro`.\n\nepoch 3: &lt;b&gt;"
    )
