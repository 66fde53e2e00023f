"""Tasks: loss, evidence and scores; and the learner that trains them."""
