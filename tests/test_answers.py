"""An answer that can be fetched again is its creator's, and is counted once."""

from __future__ import annotations

import threading

from tokenmeter.answers import Answers


def test_an_answer_belongs_to_its_creator_and_is_taken_once() -> None:
    answers: Answers[str] = Answers()
    answers.created("r1", "creator")
    assert answers.take("r1", "fetcher") == "creator"
    assert answers.take("r1", "fetcher") is None
    answers.created("r1", "late")
    assert answers.take("r1", "fetcher") is None


def test_an_answer_of_another_process_is_its_fetchers_once() -> None:
    answers: Answers[str] = Answers()
    assert answers.take("r1", "fetcher") == "fetcher"
    assert answers.take("r1", "fetcher") is None


def test_only_the_last_ten_thousand_are_remembered() -> None:
    answers: Answers[str] = Answers()
    for n in range(10_001):
        answers.created(str(n), "creator")
    assert answers.take("0", "fetcher") == "fetcher"
    assert answers.take("10000", "fetcher") == "creator"
    assert len(answers._creators) == 10_000


def test_of_many_threads_one_takes_the_answer() -> None:
    answers: Answers[int] = Answers()
    taken: list[int] = []

    def take(n: int) -> None:
        taken.extend(a for a in range(200) if answers.take(str(a), n) is not None)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(200))
