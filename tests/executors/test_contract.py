"""What a job may rely on, whichever executor runs it: one run of each kind of worker, and what it made of many jobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import redis
from tests import tasks
from tests.executors import contract_jobs as jobs
from tests.executors.working import KINDS, Ended, ended, run

from atomiq import Callback, Job, Queue, Retry
from atomiq.results import Result

WIDTH = {"process": 4, "fork": 4, "spawn": 3, "thread": 8, "async": 20, "inline": 1}
VALUES = [0, "", "text", [1, {"a": (2,)}], b"\x00\xff", 1.5]
HANDLERS = [tasks.handler_notes, tasks.handler_raises, tasks.handler_ends, tasks.handler_notes]
Outcomes = dict[str, Ended]


def enqueue_all(queue: Queue, folder: Path) -> dict[str, Job]:
    """Of everything one; the ones that take their time first."""
    add, success, failed = queue.enqueue, Callback(tasks.on_success), Callback(tasks.on_failure)
    give_up = Callback(tasks.on_failure_no_retry)
    made = {
        "soft": add(tasks.wait, 60, job_timeout=1, on_failure=failed),
        "soft, coroutine": add(jobs.nap, 60, job_timeout=1, on_failure=failed),
        "slow success": add(tasks.add, 1, on_success=Callback(tasks.on_success_slow, timeout=1), on_failure=failed),
        "slow failure": add(tasks.boom, on_failure=Callback(jobs.slow_failure, timeout=1)),
        "no limit": add(tasks.wait, 0.01, job_timeout=-1),
        "none": add(tasks.nothing),
        "huge": add(tasks.big, 5_000_000),
        "unpicklable": add(tasks.unpicklable),
        "coroutine": add(tasks.later, 7),
        "current": add(tasks.meta_of_current, meta={"mine": 1}),
        "status": add(tasks.status_of_current),
        "where": add(jobs.where),
        "ttl 0": add(tasks.add, 1, result_ttl=0),
        "ttl": add(tasks.add, 1),
        "nested": add(jobs.enqueue_another, "inner", job_id="outer"),
        "boom": add(tasks.boom, "what happened", on_success=success, on_failure=failed),
        "exit": add(tasks.leave),
        "interrupt": add(tasks.interrupt),
        "coroutine boom": add(tasks.later_boom, on_failure=failed),
        "odd": add(tasks.odd_error),
        "missing": add("tests.tasks.no_such_thing"),
        "gone": add("no_such_module.f"),
        "arguments": add("tests.tasks.add", 1, 2, 3, 4),
        "recursion": add(jobs.recurse),
        "payload": add(tasks.add, 1),
        "fields": add(tasks.add, 1),
        "retried": add(tasks.fail_until, str(folder / "retried"), 3, retry=Retry(max=5)),
        "used up": add(tasks.fail_until, str(folder / "used up"), 9, retry=Retry(max=2)),
        "asked again": add(tasks.ask_again, 2),
        "asked for later": add(tasks.ask_again, 2, 100),
        "no more": add(tasks.fail_until, str(folder / "no more"), 3, retry=Retry(max=5), on_failure=give_up),
        "success": add(tasks.add, 1, 2, on_success=success, on_failure=failed),
        "success fails": add(tasks.add, 1, on_success=Callback(tasks.on_success_boom), on_failure=failed),
        "failure fails": add(tasks.boom, on_failure=Callback(tasks.on_failure_boom)),
        "dependency": add(tasks.add, 1),
    }
    made |= {f"value {number}": add(tasks.echo, value) for number, value in enumerate(VALUES)}
    made["dependent"] = add(tasks.add, 1, depends_on=made["dependency"])
    queue.connection.hset(made["payload"].key, "data", b"no pickle")
    queue.connection.hset(made["fields"].key, mapping={"timeout": "soon", "stopped_callback_timeout": "x"})
    return made


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def outcomes(kind: str, own_database: str, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    connection = redis.Redis.from_url(own_database)
    connection.flushdb()
    queue = Queue("default", connection=connection)
    folder = tmp_path_factory.mktemp("runs")
    made = enqueue_all(queue, folder)
    run(queue, {kind: WIDTH[kind]}, exception_handlers=HANDLERS, default_result_ttl=77, name=f"of-{kind}")
    found = {name: ended(job) for name, job in made.items()}
    inner = found["nested"].value
    found["inner"] = ended(Job.fetch(inner, connection=connection))
    for name in ("retried", "used up", "no more"):
        found[name].fields["runs"] = b"%d" % len((folder / name).read_text().splitlines())
    connection.flushdb()
    connection.connection_pool.disconnect()
    return found


class TestResult:
    @pytest.mark.parametrize(("number", "value"), list(enumerate(VALUES)))
    def test_value(self, outcomes: Outcomes, number: int, value: Any) -> None:
        end = outcomes[f"value {number}"]
        assert (end.status, end.value, end.kinds) == ("finished", value, [Result.Type.SUCCESSFUL])

    def test_none(self, outcomes: Outcomes) -> None:
        assert outcomes["none"].kinds == [Result.Type.SUCCESSFUL]
        assert outcomes["none"].value is None

    def test_huge(self, outcomes: Outcomes) -> None:
        assert len(outcomes["huge"].value) == 5_000_000

    def test_unpicklable(self, outcomes: Outcomes) -> None:
        assert outcomes["unpicklable"].status == "finished"
        assert outcomes["unpicklable"].value == "Unserializable return value"

    def test_coroutine(self, outcomes: Outcomes) -> None:
        assert outcomes["coroutine"].value == 7

    def test_times_are_recorded(self, outcomes: Outcomes) -> None:
        fields = outcomes["none"].fields
        assert b"" < fields["enqueued_at"] <= fields["started_at"] <= fields["ended_at"]

    def test_no_result_is_kept_when_none_is_wanted(self, outcomes: Outcomes) -> None:
        assert outcomes["ttl 0"].status == "gone"

    def test_a_dependent_runs(self, outcomes: Outcomes) -> None:
        assert outcomes["dependent"].status == "finished"
        assert outcomes["dependency"].fields["ended_at"] <= outcomes["dependent"].fields["started_at"]

    def test_one_job_enqueues_another(self, outcomes: Outcomes) -> None:
        assert outcomes["inner"].value == "inner"


class TestPlace:
    def test_current_job_and_its_connection(self, outcomes: Outcomes, kind: str) -> None:
        end = outcomes["current"]
        assert end.value == {"id": end.id, "meta": {"mine": 1, "seen": True}, "worker": f"of-{kind}", "ping": True}

    def test_status_is_started_while_it_runs(self, outcomes: Outcomes) -> None:
        assert outcomes["status"].value == ("started", "started")

    def test_process_and_thread(self, outcomes: Outcomes, kind: str) -> None:
        place = outcomes["where"].value
        assert (place["pid"] == os.getpid()) == (kind == "inline")
        assert place["main"] == (kind not in ("thread", "async"))
        assert not place["loop"]


class TestError:
    def test_exception(self, outcomes: Outcomes) -> None:
        assert outcomes["boom"].status == "failed"
        assert outcomes["boom"].text.splitlines()[-1] == "ValueError: what happened"
        assert "in boom" in outcomes["boom"].text

    @pytest.mark.parametrize(("name", "error"), [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
    def test_what_is_no_exception(self, outcomes: Outcomes, name: str, error: str) -> None:
        assert error in outcomes[name].text

    def test_of_a_coroutine(self, outcomes: Outcomes) -> None:
        assert outcomes["coroutine boom"].text.endswith("ValueError: later\n")
        assert outcomes["coroutine boom"].calls[0] == "failure ValueError failed"

    def test_text_that_is_no_text(self, outcomes: Outcomes) -> None:
        assert "half a character" in outcomes["odd"].text

    def test_missing_function(self, outcomes: Outcomes) -> None:
        assert "no_such_thing" in outcomes["missing"].text
        assert "no_such_module" in outcomes["gone"].text

    def test_wrong_arguments(self, outcomes: Outcomes) -> None:
        assert "TypeError" in outcomes["arguments"].text

    def test_endless_recursion(self, outcomes: Outcomes) -> None:
        assert outcomes["recursion"].status == "failed"
        assert "RecursionError: maximum recursion depth exceeded" in outcomes["recursion"].text

    def test_broken_payload(self, outcomes: Outcomes) -> None:
        assert outcomes["payload"].status == "failed"
        assert "DeserializationError" in outcomes["payload"].text

    def test_broken_fields(self, outcomes: Outcomes) -> None:
        assert "timeout" in outcomes["fields"].text


class TestRetry:
    def test_after_an_exception(self, outcomes: Outcomes) -> None:
        assert outcomes["retried"].value == 3

    def test_used_up(self, outcomes: Outcomes) -> None:
        assert outcomes["used up"].status == "failed"
        assert outcomes["used up"].fields["runs"] == b"3"

    def test_returned(self, outcomes: Outcomes) -> None:
        end = outcomes["asked again"]
        assert end.status == "failed"
        assert end.kinds == [Result.Type.MAX_RETRIES_EXCEEDED, Result.Type.RETRIED, Result.Type.RETRIED]

    def test_returned_with_interval(self, outcomes: Outcomes) -> None:
        assert outcomes["asked for later"].status == "scheduled"

    def test_a_failure_callback_can_take_the_retries_away(self, outcomes: Outcomes) -> None:
        assert outcomes["no more"].status == "failed"
        assert outcomes["no more"].fields["runs"] == b"1"


class TestTimeLimit:
    @pytest.mark.parametrize("name", ["soft", "soft, coroutine"])
    def test_soft(self, outcomes: Outcomes, name: str) -> None:
        text = "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"
        assert outcomes[name].text.splitlines()[-1].endswith(text)
        assert outcomes[name].calls[:2] == ["failure JobTimeoutException failed", "handler JobTimeoutException"]

    def test_none(self, outcomes: Outcomes) -> None:
        assert outcomes["no limit"].status == "finished"

    @pytest.mark.parametrize("name", ["slow success", "slow failure"])
    def test_of_a_callback(self, outcomes: Outcomes, name: str) -> None:
        assert "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)" in outcomes[name].text


class TestCallbacks:
    def test_success(self, outcomes: Outcomes) -> None:
        assert outcomes["success"].calls == ["success 3 finished"]

    def test_failure_then_handlers_up_to_the_one_that_ends_the_chain(self, outcomes: Outcomes) -> None:
        """One of them raises, and is passed over."""
        assert outcomes["boom"].calls == ["failure ValueError failed", "handler ValueError", "last handler"]

    def test_a_raising_success_callback_is_a_failure(self, outcomes: Outcomes) -> None:
        assert "RuntimeError: success callback" in outcomes["success fails"].text
        assert outcomes["success fails"].calls[0] == "failure RuntimeError failed"

    def test_the_exception_of_a_failure_callback_is_recorded(self, outcomes: Outcomes) -> None:
        assert "RuntimeError: failure callback" in outcomes["failure fails"].text


def test_the_workers_default_ttl_counts(outcomes: Outcomes) -> None:
    assert 0 < int(outcomes["ttl"].fields["ttl left"]) <= 77
