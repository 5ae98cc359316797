"""Layer 5: which answers are compared with another model's, and how two answers are judged. Pure.

drawing (who is audited) -> arms (who is asked, who judges) -> checks (what needs no judge) -> judging (what does).
"""

from neuralrouting.layers.shadow.arms import Arms, arms_of, cheaper, judge_among
from neuralrouting.layers.shadow.checks import compare
from neuralrouting.layers.shadow.drawing import LEAST_SHARE, Evidence, Orders, draw
from neuralrouting.layers.shadow.judging import JUDGE_TOKENS, Ballot, combine, judge_body, read_ballot
from neuralrouting.layers.shadow.said import DIFFERENCE, Finding, Question, Said, Verdict, question_of, said_in

__all__ = [
    "DIFFERENCE",
    "JUDGE_TOKENS",
    "LEAST_SHARE",
    "Arms",
    "Ballot",
    "Evidence",
    "Finding",
    "Orders",
    "Question",
    "Said",
    "Verdict",
    "arms_of",
    "cheaper",
    "combine",
    "compare",
    "draw",
    "judge_among",
    "judge_body",
    "question_of",
    "read_ballot",
    "said_in",
]
